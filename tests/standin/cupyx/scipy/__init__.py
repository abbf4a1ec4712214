"""The part of cupyx that the stand-in has."""
