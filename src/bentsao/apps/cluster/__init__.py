"""Work over many machines with Ray Data. Only `workers.py` and `connecting.py` know Ray."""
