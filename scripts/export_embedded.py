"""Write the graphs of the network that comes with mcld, which `mcld sample` runs by default.

They hold no weights: those are read from the pipeline folder around them. To be run whenever that
network is trained anew:

    python scripts/export_embedded.py
"""

import json
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import onnx
from safetensors import safe_open

from mcld.export.onnx_files import export_onnx
from mcld.export.request import ExportRequest
from mcld.machine.files import write_json
from mcld.networks.places import EMBEDDED
from mcld.sampling.onnx_pipeline import DESCRIPTION, GRAPHS
from mcld.settings import load_settings


def detach_weights(source: Path, target: Path) -> None:
    """Copy graphs without the weights that lie in the pipeline folder, and name these."""
    known = set()
    for path in EMBEDDED.glob("*/*.safetensors"):
        with safe_open(path, "np") as file:
            known |= {f"{path.parent.name}.{key}" for key in file.keys()}  # noqa: SIM118
    names = {}
    for name in GRAPHS:
        model = onnx.load(source / f"{name}.onnx")
        names[name] = [tensor.name for tensor in model.graph.initializer if tensor.name in known]
        for tensor in model.graph.initializer:
            if tensor.name in known:
                tensor.ClearField("raw_data")
                tensor.data_location = onnx.TensorProto.EXTERNAL
                tensor.external_data.add(key="location", value="weights")
        del model.graph.value_info[:]
        onnx.save(model, target / f"{name}.onnx")
    description = json.loads((source / DESCRIPTION).read_text())
    write_json(target / DESCRIPTION, {**description, "weights_of": names})


if __name__ == "__main__":
    with TemporaryDirectory() as folder:
        graphs = Path(folder) / "graphs"
        settings = load_settings(None, [])
        request = ExportRequest(graphs, None, settings.sample)
        print(export_onnx(request, settings, say=print, on_graph=lambda *_: None))
        shutil.rmtree(EMBEDDED / "onnx", ignore_errors=True)
        (EMBEDDED / "onnx").mkdir()
        detach_weights(graphs, EMBEDDED / "onnx")
