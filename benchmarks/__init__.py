"""What mcld achieves, measured: `python -m benchmarks NAME`."""
