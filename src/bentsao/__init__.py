"""BenTsao (本草): from medical knowledge to a Chinese medical language model that can be trusted."""

__version__ = "0.1.0"
