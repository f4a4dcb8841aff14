"""The metrics: light modules, as `mcld.evaluate.metric` tells; `registry` lists them."""
