"""Make the networks of `mcld.estimators.body` that find people and their landmarks.

    npm pack @mediapipe/pose@0.5.1675469404
    tar xf mediapipe-pose-0.5.1675469404.tgz
    python -m venv /tmp/convert && /tmp/convert/bin/pip install tensorflow-cpu tf2onnx onnxruntime
    /tmp/convert/bin/python scripts/convert_blazepose.py package mcld/estimators/body/weights

reads that package's TFLite files (Apache-2.0) and writes detector.onnx and landmarks.onnx. The
weights stay in the half precision that they are stored in; the outputs of both are compared, on one
picture of noise, with those of the TFLite interpreter. For an environment of its own: TensorFlow is
needed for nothing else.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import flatbuffers
import numpy as np
import onnx
import onnxruntime
import tensorflow as tf
from half_weights import store_half
from tensorflow.lite.python import schema_py_generated as schema

# The detector's file is the only one in the packed assets.
NETWORKS = {
    "detector": "pose_solution_packed_assets.data",
    "landmarks": "pose_landmark_full.tflite",
}


def densify(content: bytes) -> bytes:
    """The model with its sparse weights written out, which tf2onnx cannot read."""
    interpreter = tf.lite.Interpreter(
        model_content=content,
        experimental_preserve_all_tensors=True,
        experimental_op_resolver_type=tf.lite.experimental.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    interpreter.allocate_tensors()
    interpreter.invoke()
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    codes = [max(c.builtinCode, c.deprecatedBuiltinCode) for c in model.operatorCodes]
    graph = model.subgraphs[0]
    kept = []
    for operator in graph.operators:
        if codes[operator.opcodeIndex] != schema.BuiltinOperator.DENSIFY:
            kept.append(operator)
            continue
        index = operator.outputs[0]
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(interpreter.get_tensor(index).tobytes(), np.uint8)
        graph.tensors[index].buffer = len(model.buffers)
        model.buffers.append(buffer)
        sparse = graph.tensors[operator.inputs[0]]
        sparse.buffer, sparse.sparsity = 0, None  # the first buffer is the empty one
    graph.operators = kept
    builder = flatbuffers.Builder(len(content) * 3)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def run_tflite(content: bytes, picture: np.ndarray) -> list[np.ndarray]:
    interpreter = tf.lite.Interpreter(model_content=content)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], picture)
    interpreter.invoke()
    return [interpreter.get_tensor(o["index"]) for o in interpreter.get_output_details()]


def main(package: Path, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for name, file in NETWORKS.items():
        content = (package / file).read_bytes()
        with tempfile.TemporaryDirectory() as folder:
            dense, converted = Path(folder, "dense.tflite"), Path(folder, "model.onnx")
            dense.write_bytes(densify(content))
            subprocess.run(
                [
                    *(sys.executable, "-m", "tf2onnx.convert", "--opset", "17"),
                    *("--tflite", str(dense), "--output", str(converted)),
                ],
                check=True,
            )
            model = onnx.load(converted)
        store_half(model)
        onnx.checker.check_model(model)
        onnx.save(model, target / f"{name}.onnx")
        session = onnxruntime.InferenceSession(target / f"{name}.onnx")
        size = session.get_inputs()[0].shape
        picture = np.random.default_rng(0).random(size, np.float32)
        found = session.run(None, {session.get_inputs()[0].name: picture})
        for ours, theirs in zip(found, run_tflite(content, picture), strict=True):
            print(
                name,
                ours.shape,
                f"off by {np.abs(ours - theirs).max():.1e} of {np.abs(theirs).max():.3g}",
            )


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
