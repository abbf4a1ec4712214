"""Stacks of layers drawn by chance, as text that PyTorch and devtensor both evaluate.

A layer is drawn for the shape that came out of the layers before it, from the table for its number of dims;
what PyTorch does not take, or what makes too much or nothing of it, is drawn again.
"""

from __future__ import annotations

import random
from typing import Any, NamedTuple

# The places for numbers: {c} is the size of dim 1, {f} of the last dim, {w} a window, {k} channels to come, {g} a divisor of {c}.
ANYWHERE = """
nn.ReLU() nn.ReLU(inplace=True) nn.LeakyReLU(0.2) nn.ELU(0.7) nn.CELU(1.3) nn.SELU() nn.GELU() nn.GELU('tanh')
nn.SiLU() nn.Mish() nn.Softplus(2,5) nn.Softsign() nn.Softshrink(0.1) nn.Hardshrink(0.1) nn.Tanhshrink()
nn.Hardtanh(-0.8,0.9) nn.Hardswish() nn.Hardsigmoid() nn.LogSigmoid() nn.Sigmoid() nn.Tanh() nn.Threshold(0.1,-1)
nn.ReLU6() nn.PReLU() nn.PReLU({c}) nn.Softmax(dim=-1) nn.LogSoftmax(dim=1) nn.Softmin(dim=1) nn.Identity()
nn.Linear({f},{k}) nn.Linear({f},{k},bias=False) nn.LazyLinear({k}) nn.LayerNorm({f}) nn.RMSNorm({f},eps=1e-3)
nn.LayerNorm({f},eps=1e-3,elementwise_affine=False) nn.LayerNorm({f},bias=False) nn.GroupNorm({g},{c})
nn.GLU(dim=-1) nn.Flatten() nn.Flatten(1,-2) nn.Dropout(0.0) nn.LocalResponseNorm(3,0.1)
nn.Sequential(nn.Linear({f},{k}),nn.Tanh()) Residual(nn.Sequential(nn.Linear({f},{f}),nn.GELU()))
nn.utils.parametrizations.weight_norm(nn.Linear({f},{k})) nn.utils.parametrizations.spectral_norm(nn.Linear({f},{k}))
nn.utils.weight_norm(nn.Linear({f},{k})) nn.utils.spectral_norm(nn.Linear({f},{k}))
nn.utils.parametrizations.orthogonal(nn.Linear({f},{k})) Doubled(nn.Bilinear({f},{f},{k}))
""".split()
FLAT = """
nn.BatchNorm1d({c}) nn.BatchNorm1d({c},momentum=None) nn.BatchNorm1d({c},affine=False) nn.Unflatten(1,(2,-1))
nn.BatchNorm1d({c},track_running_stats=False) nn.LazyBatchNorm1d() nn.Unflatten(1,({c},1)) nn.Linear({f},24)
nn.Linear({f},{k}) First(nn.LSTM({f},{k})) Doubled(nn.CosineSimilarity(dim=-1)) Column(nn.GRUCell({f},{k}))
""".split()
SEQUENCE = """
nn.Conv1d({c},{k},{w}) nn.Conv1d({c},{k},{w},padding='same',bias=False) nn.Conv1d({c},{c},{w},groups={c},padding=1)
nn.Conv1d({c},{k},{w},stride=2,padding=1,padding_mode='circular') nn.ConvTranspose1d({c},{k},{w},stride=2)
nn.ConvTranspose1d({c},{c},{w},stride=2,padding=1,output_padding=1,groups={g}) nn.LazyConv1d({k},{w},dilation=2)
nn.BatchNorm1d({c}) nn.InstanceNorm1d({c},affine=True) nn.InstanceNorm1d({c},track_running_stats=True)
nn.MaxPool1d({w},2,1) nn.AvgPool1d({w},ceil_mode=True) nn.AdaptiveAvgPool1d(3) nn.AdaptiveMaxPool1d(2)
nn.LPPool1d(2,{w}) nn.Upsample(scale_factor=2,mode='linear') nn.Upsample(7) nn.ReflectionPad1d((1,2))
nn.ReplicationPad1d(2) nn.ZeroPad1d((2,0)) nn.ConstantPad1d(1,3.5) nn.CircularPad1d(1)
First(nn.RNN({f},{k},batch_first=True,nonlinearity='relu')) First(nn.LSTM({f},{k},2,batch_first=True,bidirectional=True))
First(nn.GRU({f},{k},bias=False)) First(nn.LSTM({f},4,proj_size=2,batch_first=True)) Attend(nn.MultiheadAttention({f},1))
Attend(nn.MultiheadAttention({f},1,batch_first=True,bias=False,add_zero_attn=True,add_bias_kv=False))
nn.TransformerEncoderLayer({f},1,5,dropout=0.0,batch_first=True)
nn.TransformerEncoderLayer({f},1,5,dropout=0.0,activation='gelu',norm_first=True)
nn.TransformerEncoder(nn.TransformerEncoderLayer({f},1,4,dropout=0.0,batch_first=True),2,enable_nested_tensor=False)
Doubled(nn.TransformerDecoderLayer({f},1,5,dropout=0.0,batch_first=True))
nn.utils.weight_norm(nn.Conv1d({c},{k},{w})) nn.utils.parametrizations.weight_norm(nn.ConvTranspose1d({c},{k},{w}),dim=1)
nn.Softmax2d() nn.ChannelShuffle({g}) nn.Unflatten(2,(2,-1)) nn.Dropout1d(0.0) nn.AlphaDropout(0.0)
""".split()
IMAGE = """
nn.Conv2d({c},{k},{w}) nn.Conv2d({c},{k},({w},1),stride=(1,2),padding=1,bias=False) nn.LazyConv2d({k},{w},padding=1)
nn.Conv2d({c},{k},{w},padding='same',padding_mode='reflect') nn.Conv2d({c},{c},{w},groups={g},dilation=2,padding=2)
nn.ConvTranspose2d({c},{k},{w},stride=2) nn.ConvTranspose2d({c},{c},{w},2,1,1,groups={g},dilation=2)
nn.BatchNorm2d({c}) nn.BatchNorm2d({c},eps=1e-3,momentum=0.3) nn.LazyBatchNorm2d(affine=False) nn.InstanceNorm2d({c})
nn.InstanceNorm2d({c},affine=True,track_running_stats=True) nn.MaxPool2d({w}) nn.MaxPool2d({w},2,1,ceil_mode=True)
nn.AvgPool2d({w},2,1,count_include_pad=False) nn.AvgPool2d({w},divisor_override=3) nn.AdaptiveAvgPool2d((2,None))
nn.AdaptiveMaxPool2d((3,2)) nn.LPPool2d(2,{w},ceil_mode=True) nn.PixelShuffle(2) nn.PixelUnshuffle(2)
nn.Upsample(scale_factor=2) nn.Upsample((5,4),mode='bilinear') nn.Upsample(scale_factor=1.5,mode='bicubic',align_corners=True)
nn.UpsamplingBilinear2d(scale_factor=2) nn.UpsamplingNearest2d((4,6)) nn.ZeroPad2d((1,0,2,1)) nn.ReflectionPad2d(1)
nn.ReplicationPad2d((0,1,2,0)) nn.CircularPad2d(1) nn.ConstantPad2d((1,-1,0,0),0.5) nn.ChannelShuffle({g})
nn.Unfold({w},padding=1,stride=2) nn.Dropout2d(0.0) nn.Softmax2d() nn.Flatten(2) nn.Flatten(1,2)
nn.utils.spectral_norm(nn.Conv2d({c},{k},{w})) nn.utils.parametrizations.spectral_norm(nn.Conv2d({c},{k},{w}))
Residual(nn.Sequential(nn.Conv2d({c},{c},3,padding=1,bias=False),nn.BatchNorm2d({c}))) nn.Unflatten(1,(1,-1))
""".split()
VOLUME = """
nn.Conv3d({c},{k},{w}) nn.Conv3d({c},{c},{w},groups={g},padding=1,padding_mode='replicate') nn.ConvTranspose3d({c},{k},{w})
nn.BatchNorm3d({c}) nn.InstanceNorm3d({c},affine=True) nn.MaxPool3d({w},1) nn.AvgPool3d({w},1,1) nn.AdaptiveAvgPool3d(2)
nn.AdaptiveMaxPool3d((1,2,None)) nn.LPPool3d(2,{w}) nn.Upsample(scale_factor=2,mode='trilinear') nn.Upsample((3,2,4))
nn.ReflectionPad3d(1) nn.ReplicationPad3d((1,0,0,2,1,1)) nn.ZeroPad3d(1) nn.CircularPad3d(1) nn.ConstantPad3d(1,2.0)
nn.Dropout3d(0.0) nn.FeatureAlphaDropout(0.0) nn.Flatten(1,2) nn.Flatten(2,3) nn.LazyConv3d({k},{w},padding=1)
""".split()
LAYERS = {2: FLAT, 3: SEQUENCE, 4: IMAGE, 5: VOLUME}
STARTS = [(5, 6), (4, 4, 8), (3, 2, 6), (4, 4, 6, 5), (3, 2, 5, 6), (3, 2, 4, 3, 5)]
TABLES = ["nn.Embedding(7,4)", "nn.Embedding(7,6,padding_idx=2)", "nn.Embedding(7,4,max_norm=0.9)"]
TABLES += ["nn.EmbeddingBag(7,6,mode='sum')", "nn.EmbeddingBag(7,6)", "nn.EmbeddingBag(7,6,mode='max')"]
OPTIMIZERS = """
SGD(ps,lr=0.05) SGD(ps,lr=0.05,momentum=0.9,nesterov=True,weight_decay=0.01) SGD(ps,0.05,momentum=0.8,dampening=0.3)
Adam(ps,lr=0.01) Adam(ps,lr=0.01,amsgrad=True,weight_decay=0.02) AdamW(ps,0.01,betas=(0.8,0.95)) NAdam(ps,lr=0.01)
RAdam(ps,lr=0.01,decoupled_weight_decay=True,weight_decay=0.1) Adamax(ps,lr=0.01) Adagrad(ps,lr=0.02,lr_decay=0.1)
Adadelta(ps,lr=0.5) RMSprop(ps,lr=0.005,centered=True,momentum=0.5) ASGD(ps,lr=0.02,t0=2) Rprop(ps,lr=0.01)
Adafactor(ps,lr=0.02) LBFGS(ps,lr=0.1,max_iter=3)
""".split()
SCHEDULES = """
StepLR(o,2,gamma=0.5) MultiStepLR(o,[1,3],0.3) ExponentialLR(o,0.7) CosineAnnealingLR(o,4,eta_min=0.001)
LinearLR(o,total_iters=3) ConstantLR(o,0.5,2) PolynomialLR(o,5,power=2.0) LambdaLR(o,lambda*e:1/(1+e[0]))
MultiplicativeLR(o,lambda*e:0.9) CosineAnnealingWarmRestarts(o,2,2) OneCycleLR(o,0.1,6,cycle_momentum=False)
CyclicLR(o,0.01,0.05,2,cycle_momentum=False) ChainedScheduler([ExponentialLR(o,0.9),StepLR(o,2,0.5)])
SequentialLR(o,[ConstantLR(o,0.1,2),ExponentialLR(o,0.8)],milestones=[2])
""".split()


class Stack(NamedTuple):
    """What to build, what goes into it, and how it is trained."""

    layers: list[str]
    shape: tuple[int, ...]
    labels: bool
    optimizer: str
    schedule: str

    def text(self) -> str:
        return f"nn.Sequential({','.join(self.layers)})"


def drawn(seed: int, nn: Any, run: Any) -> Stack:
    """The stack of a seed. `run(text, shape, labels)` gives PyTorch's shape of a stack's result, or None."""
    source = random.Random(seed)
    labels = source.random() < 0.15
    shape = (3, 5) if labels else source.choice(STARTS)
    layers: list[str] = [source.choice(TABLES)] if labels else []
    now = run(layers, shape, labels) if labels else shape
    wanted = len(layers) + source.randint(2, 6)
    while len(layers) < wanted:
        layer = written(source, source.choice(ANYWHERE if source.random() < 0.3 else LAYERS[len(now)]), now)
        made = run([*layers, layer], shape, labels)
        if made is not None:
            layers, now = [*layers, layer], made
    return Stack(layers, shape, labels, source.choice(OPTIMIZERS), source.choice(SCHEDULES))


def written(source: random.Random, layer: str, shape: tuple[int, ...]) -> str:
    """A layer of the tables with numbers that fit the shape of what it gets."""
    divisors = [n for n in range(1, shape[1] + 1) if shape[1] % n == 0]
    return layer.format(
        c=shape[1], f=shape[-1], w=source.choice([1, 2, 3]), k=source.choice([2, 4, 6]), g=source.choice(divisors)
    )
