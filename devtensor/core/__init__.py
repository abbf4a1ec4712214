"""The runtime's core: what a tensor is, how an op is declared, and the one path every op takes."""
