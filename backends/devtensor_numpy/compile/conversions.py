"""Half types to float32 and back in LLVM's text, for loops to call: exact, the same on every processor.

Most instructions that convert differ from NumPy where it matters: those for bfloat16 make subnormal numbers
zero. So conversions go by the bits. The exception is float16 where the processor has F16C, which differs in
signalling NaN alone: they lose a bit that is put back.
"""

from __future__ import annotations

from collections.abc import Mapping

FUNCTION = """
define internal {written} @{name}({read} %x) alwaysinline nounwind {{
{body}
  ret {written} %y
}}
"""
TYPES = {"up": ("i16", "i32"), "down": ("i32", "i16")}
"""What each direction reads and gives; 32 bits are those of a float."""
BY_BITS = {
    "float16_up": """
  %wide = zext i16 %x to i32
  %magnitude = and i32 %wide, u0x7FFF
  %top = and i32 %wide, u0x8000
  %sign = shl i32 %top, 16
  %moved = shl i32 %magnitude, 13
  %normal = add i32 %moved, u0x38000000
  %lifted = add i32 %moved, u0x70000000
  %special = icmp ugt i32 %magnitude, u0x7BFF
  %large = select i1 %special, i32 %lifted, i32 %normal
  %placed = add i32 %moved, u0x38800000
  %beside = bitcast i32 %placed to float
  %apart = fsub float %beside, 0x3F10000000000000
  %tiny = bitcast float %apart to i32
  %subnormal = icmp ult i32 %magnitude, u0x400
  %found = select i1 %subnormal, i32 %tiny, i32 %large
  %y = or i32 %found, %sign""",
    "float16_down": """
  %magnitude = and i32 %x, u0x7FFFFFFF
  %high = lshr i32 %x, 16
  %sign = and i32 %high, u0x8000
  %kept = lshr i32 %magnitude, 13
  %odd = and i32 %kept, 1
  %raised = add i32 %magnitude, u0xFFF
  %rounded = add i32 %raised, %odd
  %moved = lshr i32 %rounded, 13
  %normal = sub i32 %moved, u0x1C000
  %over = icmp ugt i32 %magnitude, u0x477FEFFF
  %bounded = select i1 %over, i32 u0x7C00, i32 %normal
  %value = bitcast i32 %magnitude to float
  %shifted = fadd float %value, 0.5
  %bits = bitcast float %shifted to i32
  %tiny = sub i32 %bits, u0x3F000000
  %subnormal = icmp ult i32 %magnitude, u0x38800000
  %finite = select i1 %subnormal, i32 %tiny, i32 %bounded
  %payload = and i32 %kept, u0x3FF
  %none = icmp eq i32 %payload, 0
  %some = select i1 %none, i32 1, i32 %payload
  %quiet = or i32 %some, u0x7C00
  %nan = icmp ugt i32 %magnitude, u0x7F800000
  %found = select i1 %nan, i32 %quiet, i32 %finite
  %signed = or i32 %found, %sign
  %y = trunc i32 %signed to i16""",
    "bfloat16_up": """
  %wide = zext i16 %x to i32
  %y = shl i32 %wide, 16""",
    "bfloat16_down": """
  %magnitude = and i32 %x, u0x7FFFFFFF
  %kept = lshr i32 %x, 16
  %odd = and i32 %kept, 1
  %raised = add i32 %x, u0x7FFF
  %rounded = add i32 %raised, %odd
  %finite = lshr i32 %rounded, 16
  %sign = and i32 %kept, u0x8000
  %quiet = or i32 %sign, u0x7FC0
  %nan = icmp ugt i32 %magnitude, u0x7F800000
  %found = select i1 %nan, i32 %quiet, i32 %finite
  %y = trunc i32 %found to i16""",
}
BY_INSTRUCTION = {
    "float16_up": """
  %half = bitcast i16 %x to half
  %single = fpext half %half to float
  %made = bitcast float %single to i32
  %magnitude = and i16 %x, u0x7FFF
  %beyond = sub i16 %magnitude, u0x7C01
  %signalling = icmp ult i16 %beyond, u0x1FF
  %again = xor i32 %made, u0x400000
  %y = select i1 %signalling, i32 %again, i32 %made""",
    "float16_down": """
  %single = bitcast i32 %x to float
  %half = fptrunc float %single to half
  %made = bitcast half %half to i16
  %magnitude = and i32 %x, u0x7FFFFFFF
  %beyond = sub i32 %magnitude, u0x7F800001
  %signalling = icmp ult i32 %beyond, u0x3FFFFF
  %again = xor i16 %made, u0x200
  %payload = and i16 %again, u0x3FF
  %none = icmp eq i16 %payload, 0
  %last = zext i1 %none to i16
  %some = or i16 %again, %last
  %y = select i1 %signalling, i16 %some, i16 %made""",
}
NAMES = tuple(BY_BITS)
"""A half type and a direction each."""


def bodies(features: str) -> Mapping[str, str]:
    """Name -> body, for a processor with these features."""
    return BY_BITS | BY_INSTRUCTION if "+f16c" in features.split(",") else BY_BITS


def conversions(features: str) -> str:
    """The four functions, as LLVM reads them."""
    found = bodies(features)
    return "".join(
        FUNCTION.format(name=name, read=read, written=written, body=found[name].strip("\n"))
        for name in NAMES
        for read, written in [TYPES[name.split("_")[1]]]
    )
