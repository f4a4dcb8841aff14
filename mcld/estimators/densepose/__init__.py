"""DensePose R_101_FPN_DL_s1x on PyTorch and torchvision alone: a photo in, an IUV map out.

One file for each part: transform, backbone, proposals, boxes, dense, iuv; network.py joins them,
weights.py reads the published file, estimator.py is what the house uses.
"""
