"""The part of CuPy's bindings that the stand-in has."""
