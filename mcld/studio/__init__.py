"""The page on which people try, pose, dress and compare: `mcld studio`."""
