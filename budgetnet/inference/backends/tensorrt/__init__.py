"""TensorRT through Torch-TensorRT: engines that are built on the GPU that they run on.

``versions`` holds what differs between the supported versions, ``arguments`` every keyword that is passed to
Torch-TensorRT, as plain dicts that can be held against its real signatures, ``presence`` what this machine lacks,
``building`` and ``quantization`` the way from a network to engines, ``backend`` the two ends of it.
"""
