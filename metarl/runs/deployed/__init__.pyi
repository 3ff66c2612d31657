from .exporting import Format, export_policy
from .numpy_file import write_numpy
from .onnx_file import check_onnx, write_onnx

__all__ = ["Format", "check_onnx", "export_policy", "write_numpy", "write_onnx"]
