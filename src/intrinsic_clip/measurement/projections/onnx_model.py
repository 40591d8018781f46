"""Write a projection as an ONNX model, which many runtimes and vector stores can run."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from intrinsic_clip.errors import ConfigError
from intrinsic_clip.measurement.projections.module import ReductionModule
from intrinsic_clip.runs.atomic import write_atomically

OPSET = 17
IR = 8  # version of the file format, which runtimes of opset 17 read


def write_onnx(path: Path, module: ReductionModule, facts: Mapping[str, str]) -> None:
    """Write the model: `rows` `(n, d)` in, `reduced` `(n, m)` out, both float32.

    Args:
        path: of the file.
        module: the projection.
        facts: kept in the model's metadata.

    Raises:
        ConfigError: the package onnx is missing.
        OSError: the file cannot be written.
    """
    try:
        import onnx
        from onnx import TensorProto, helper, numpy_helper
    except ImportError as error:
        raise ConfigError("writing an ONNX model needs the package onnx: pip install onnx") from error
    constants = {
        "mean": module.mean.float().cpu().numpy(),
        "basis": module.basis.float().cpu().numpy(),
    }
    nodes, rows = [], "rows"
    if module.unit_rows:
        constants["tiny"] = np.asarray(np.finfo(np.float32).tiny)  # a row of zeros stays zero
        nodes += [
            helper.make_node("ReduceL2", ["rows"], ["length"], axes=[-1], keepdims=1),
            helper.make_node("Max", ["length", "tiny"], ["divisor"]),
            helper.make_node("Div", ["rows", "divisor"], ["unit"]),
        ]
        rows = "unit"
    nodes += [
        helper.make_node("Sub", [rows, "mean"], ["centred"]),
        helper.make_node("MatMul", ["centred", "basis"], ["reduced"]),
    ]
    shapes = {"rows": ["n", module.in_features], "reduced": ["n", module.out_features]}
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]
    initializers = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = helper.make_graph(nodes, "projection", ends[:1], ends[1:], initializers)
    model = helper.make_model(
        graph, producer_name="intrinsic-clip", opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR
    )
    helper.set_model_props(model, dict(facts))
    onnx.checker.check_model(model)
    write_atomically(path, model.SerializeToString())
