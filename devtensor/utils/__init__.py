"""Helpers around the core: data loading, files, interchange."""
