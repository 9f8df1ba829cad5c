"""The flow of TensorRT, against stand-ins of its Python interface and of the CUDA runtime.

The stand-in of TensorRT runs the very network by ONNX Runtime, on memory that the stand-in of CUDA
gave out, so what comes back are descriptors. What only hardware can tell is not told here.
"""

from __future__ import annotations

import ctypes
import enum
import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnxruntime")
if shutil.which("cc") is None:
    pytest.skip("no C compiler for the stand-in of the CUDA runtime", allow_module_level=True)

from geobridge.export.tensorrt.build import build, expectation, workspace_for
from geobridge.export.tensorrt.evidence import check_size, count_half
from geobridge.onboard.bundle import Bundle
from geobridge.onboard.cli import main
from geobridge.onboard.engine_parity import engine_parity
from geobridge.onboard.engines import cuda
from geobridge.onboard.engines.cuda import Cuda
from geobridge.onboard.engines.engine import EngineSettings, open_engine
from geobridge.onboard.engines.onnxruntime import OnnxRuntimeEngine
from geobridge.onboard.engines.tensorrt import Port, encoder_ports
from geobridge.onboard.engines.tensorrt_interface import (
    Builder,
    IBuilderConfig,
    ICudaEngine,
    IExecutionContext,
    INetworkDefinition,
    Named,
    Runtime,
)
from geobridge.onboard.errors import BundleError, EngineError
from geobridge.onboard.retrieval.encoder import Encoder
from geobridge.onboard.views import VIEW_CODES, View

SIDE_PX = 48


class Flag(enum.IntEnum):
    STRONGLY_TYPED = 1
    TF32 = 7
    WORKSPACE = 0
    DETAILED = 2
    JSON = 1
    UINT8 = 8
    FLOAT = 10
    INPUT = 11
    OUTPUT = 12
    ERROR = 21
    WARNING = 22


class StandIn:
    """The `tensorrt` module. `calls` is what was done; what shall go wrong is set beforehand."""

    def __init__(self, version: str = "10.3.0") -> None:
        self.__version__ = version
        self.calls: list[tuple[Any, ...]] = []
        self.parser_error = ""
        self.builds = True
        self.loads = True
        self.padding = b""
        self.spoil: Callable[[Any], Any] = lambda descriptors: descriptors
        self.wait: threading.Event | None = None
        for name in ("NetworkDefinitionCreationFlag", "BuilderFlag", "MemoryPoolType"):
            setattr(self, name, Flag)
        for name in ("ProfilingVerbosity", "LayerInformationFormat", "DataType", "TensorIOMode"):
            setattr(self, name, Flag)
        self.ILogger = type("ILogger", (), {"Severity": Flag})
        self.IProgressMonitor = type("IProgressMonitor", (), {})

    def Builder(self, logger: Any) -> Builder:  # noqa: N802 - as TensorRT has it
        return _Builder(self, logger)

    def OnnxParser(self, network: Any, logger: Any) -> Any:  # noqa: N802
        return _Parser(self, network)

    def Runtime(self, logger: Any) -> Runtime:  # noqa: N802
        return _Runtime(self, logger)


class _Network:
    def __init__(self) -> None:
        self.num_inputs = self.num_outputs = 1
        self.onnx = ""
        self.dimension = 0

    def get_input(self, index: int) -> Any:
        return SimpleNamespace(name="image", dtype=Flag.UINT8, shape=(-1, SIDE_PX, SIDE_PX, 3))

    def get_output(self, index: int) -> Any:
        return SimpleNamespace(name="descriptor", dtype=Flag.FLOAT, shape=(-1, self.dimension))


class _Parser:
    def __init__(self, trt: StandIn, network: _Network) -> None:
        self.trt, self.network = trt, network
        self.num_errors = int(bool(trt.parser_error))

    def parse_from_file(self, model: str) -> bool:
        self.network.onnx, self.network.dimension = model, 64
        return not self.trt.parser_error

    def get_error(self, index: int) -> Any:
        return SimpleNamespace(desc=lambda: self.trt.parser_error)


class _Config:
    def __init__(self, trt: StandIn) -> None:
        self.trt = trt
        self.builder_optimization_level = 0
        self.profiling_verbosity: Named = Flag.ERROR
        self.progress_monitor: Any = None
        self.profile: Any = None

    def set_memory_pool_limit(self, pool: Named, pool_size: int) -> None:
        self.trt.calls.append(("workspace", pool, pool_size))

    def clear_flag(self, flag: Named) -> None:
        self.trt.calls.append(("clear", flag))

    def create_timing_cache(self, serialized_timing_cache: bytes) -> Any:
        self.trt.calls.append(("timing", serialized_timing_cache))
        return SimpleNamespace(serialize=lambda: b"measured")

    def set_timing_cache(self, cache: Any, ignore_mismatch: bool) -> bool:
        self.cache = cache
        return not ignore_mismatch

    def get_timing_cache(self) -> Any:
        return self.cache

    def add_optimization_profile(self, profile: Any) -> int:
        self.profile = profile
        return 0


class _Builder:
    def __init__(self, trt: StandIn, logger: Any) -> None:
        self.trt, self.logger = trt, logger

    def create_network(self, flags: int) -> INetworkDefinition:
        self.trt.calls.append(("network", flags))
        return _Network()

    def create_builder_config(self) -> IBuilderConfig:
        return _Config(self.trt)

    def create_optimization_profile(self) -> Any:
        shapes: dict[str, Any] = {}

        def set_shape(
            input: str,  # noqa: A002 - as TensorRT has it
            min: Sequence[int],  # noqa: A002
            opt: Sequence[int],
            max: Sequence[int],  # noqa: A002
        ) -> None:
            shapes[input] = (min, opt, max)

        return SimpleNamespace(set_shape=set_shape, shapes=shapes)

    def build_serialized_network(self, network: Any, config: Any) -> Any:
        monitor, running = config.progress_monitor, True
        monitor.phase_start("Building", None, 3)
        for step in range(3):
            if self.trt.wait is not None:
                self.trt.wait.set()
                running = threading.Event().wait(0.3) or monitor.step_complete("Building", step)
            else:
                running = monitor.step_complete("Building", step)
            if not running:
                return None
        monitor.phase_finish("Building")
        self.trt.calls.append(("build", config.profile.shapes, config.builder_optimization_level))
        if not self.trt.builds:
            self.logger.log(Flag.ERROR, "Tactic Device request: insufficient memory")
            return None
        plan = {"onnx": network.onnx, "trt": self.trt.__version__, "dimension": network.dimension}
        return json.dumps(plan).encode() + self.trt.padding


class _Runtime:
    def __init__(self, trt: StandIn, logger: Any) -> None:
        self.trt, self.logger = trt, logger

    def deserialize_cuda_engine(self, serialized_engine: bytes) -> ICudaEngine | None:
        self.trt.calls.append(("load",))
        if not self.trt.loads:
            self.logger.log(Flag.ERROR, "The engine plan file is not compatible")
            return None
        plan = serialized_engine.removesuffix(self.trt.padding)
        return _Engine(self.trt, json.loads(plan))


class _Engine:
    def __init__(self, trt: StandIn, plan: dict[str, Any]) -> None:
        self.trt, self.plan = trt, plan
        self.num_io_tensors, self.num_layers, self.device_memory_size_v2 = 2, 3, 1_000_000

    def get_tensor_name(self, index: int) -> str:
        return ("image", "descriptor")[index]

    def get_tensor_mode(self, name: str) -> Named:
        return Flag.INPUT if name == "image" else Flag.OUTPUT

    def get_tensor_dtype(self, name: str) -> Named:
        return Flag.UINT8 if name == "image" else Flag.FLOAT

    def get_tensor_shape(self, name: str) -> Any:
        size = (SIDE_PX, SIDE_PX, 3) if name == "image" else (self.plan["dimension"],)
        return (-1, *size)

    def create_execution_context(self) -> IExecutionContext | None:
        return _Context(self.trt, self.plan)

    def create_engine_inspector(self) -> Any:
        layers = [{"Outputs": [{"Format/Datatype": t}]} for t in ("Half", "FP16 row", "Float")]
        return SimpleNamespace(get_engine_information=lambda _: json.dumps({"Layers": layers}))


class _Context:
    def __init__(self, trt: StandIn, plan: dict[str, Any]) -> None:
        self.trt, self.plan = trt, plan
        self.network = OnnxRuntimeEngine(Path(plan["onnx"]))
        self.shape: tuple[int, ...] = ()
        self.addresses: dict[str, int] = {}
        self.launch = ctypes.CFUNCTYPE(None)(self._compute)
        ctypes.CDLL(cuda.NAMES[0]).stand_in_on_launch(self.launch)

    def set_input_shape(self, name: str, shape: Sequence[int]) -> bool:
        self.trt.calls.append(("shape", tuple(shape)))
        self.shape = tuple(shape)
        return name == "image"

    def set_tensor_address(self, name: str, memory: int) -> bool:
        self.addresses[name] = memory
        return True

    def execute_async_v3(self, stream_handle: int) -> bool:
        self.trt.calls.append(("execute",))
        self._compute()
        return stream_handle != 0

    def _compute(self) -> None:
        size = int(np.prod(self.shape))
        raw = (ctypes.c_uint8 * size).from_address(self.addresses["image"])
        images = np.ctypeslib.as_array(raw).reshape(self.shape).copy()
        answer = self.network.run(images)
        answer = np.ascontiguousarray(self.trt.spoil(answer), np.float32)
        ctypes.memmove(self.addresses["descriptor"], answer.ctypes.data, answer.nbytes)


@pytest.fixture(scope="module")
def cudart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source = Path(__file__).with_name("cudart_stand_in.c")
    library = tmp_path_factory.mktemp("cudart") / "libcudart.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source], check=True)
    return library


@pytest.fixture
def gpu(cudart: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setattr(cuda, "NAMES", (str(cudart),))
    library = ctypes.CDLL(str(cudart))
    library.stand_in_device(b"Stand-in Orin", 7)
    yield library
    library.stand_in_device(b"Stand-in Orin", 7)
    library.stand_in_fail_allocations(0)


@pytest.fixture
def trt(gpu: Any, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    stand_in = StandIn()
    monkeypatch.setitem(sys.modules, "tensorrt", stand_in)
    return stand_in


@pytest.fixture
def bundle(rehearsal: Path) -> Path:
    return rehearsal / "bundle"


@pytest.fixture
def onnx(bundle: Path) -> Path:
    return bundle / "encoders/drone.fp16.onnx"


def pictures(count: int) -> Any:
    rng = np.random.default_rng(3)
    return rng.integers(0, 256, (count, SIDE_PX, SIDE_PX, 3)).astype(np.uint8)


def did(trt: StandIn, what: str) -> list[tuple[Any, ...]]:
    return [call for call in trt.calls if call[0] == what]


def test_a_plan_is_built_once_and_flown(
    bundle: Path, onnx: Path, tmp_path: Path, trt: StandIn
) -> None:
    [row] = build(bundle, plans=tmp_path, max_batch=4, workspace_mb=256)
    assert (row["view"], row["precision"], row["half_layers"]) == ("drone", "fp16", "2 of 3")
    assert (row["gpu"], row["tensorrt"], row["max_batch"]) == ("Stand-in Orin", "10.3.0", 4)
    assert did(trt, "network") == [("network", 1 << Flag.STRONGLY_TYPED)]
    assert did(trt, "workspace") == [("workspace", Flag.WORKSPACE, 256 << 20)]
    assert did(trt, "clear") == [("clear", Flag.TF32)]
    size = (SIDE_PX, SIDE_PX, 3)
    shapes = {"image": ((1, *size), (1, *size), (4, *size))}
    assert did(trt, "build") == [("build", shapes, 3)]
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".cache", ".json", ".plan"]
    assert build(bundle, plans=tmp_path, max_batch=4, workspace_mb=256) == [row]
    assert len(did(trt, "build")) == 1
    engine = open_engine("tensorrt", onnx, settings=EngineSettings(plans=tmp_path))
    images = pictures(10)
    trt.calls.clear()
    np.testing.assert_array_equal(engine.run(images), OnnxRuntimeEngine(onnx).run(images))
    assert did(trt, "shape") == [("shape", (n, *size)) for n in (4, 2)]
    assert len(did(trt, "execute")) == 3


def test_other_settings_are_another_plan_in_the_same_place(
    bundle: Path, tmp_path: Path, trt: StandIn
) -> None:
    build(bundle, plans=tmp_path)
    [row] = build(bundle, plans=tmp_path, optimization_level=5)
    assert [call[2] for call in did(trt, "build")] == [3, 5]
    assert [call[1] for call in did(trt, "timing")] == [b"", b"measured"]
    assert [path.name for path in tmp_path.glob("*.plan")] == [row["plan"].name]


def test_a_single_picture_as_a_recorded_graph(
    bundle: Path, onnx: Path, tmp_path: Path, trt: StandIn, gpu: Any
) -> None:
    build(bundle, plans=tmp_path, max_batch=2)
    before = gpu.stand_in_live()
    settings = EngineSettings(plans=tmp_path, cuda_graph=True)
    engine, images = open_engine("tensorrt", onnx, settings=settings), pictures(3)
    trt.calls.clear()
    expected = OnnxRuntimeEngine(onnx).run(images)
    one_by_one = np.concatenate([engine.run(image[None]) for image in images])
    np.testing.assert_allclose(one_by_one, expected, atol=1e-6)
    assert did(trt, "execute") == []
    assert gpu.stand_in_live() > before
    engine.close()
    assert gpu.stand_in_live() == before


def test_memory_is_taken_once(
    bundle: Path, onnx: Path, tmp_path: Path, trt: StandIn, gpu: Any
) -> None:
    build(bundle, plans=tmp_path)
    engine = open_engine("tensorrt", onnx, settings=EngineSettings(plans=tmp_path))
    taken = gpu.stand_in_live()
    for image in pictures(5):
        engine.run(image[None])
    assert gpu.stand_in_live() == taken


@pytest.mark.fault("B3", "a plan of another GPU, driver or TensorRT", "refused, both sides named")
def test_plans_of_other_computers_are_refused_and_both_sides_named(
    bundle: Path, onnx: Path, tmp_path: Path, trt: StandIn, gpu: Any, monkeypatch: Any
) -> None:
    settings = EngineSettings(plans=tmp_path)
    with pytest.raises(EngineError, match=r"no plan of the network .*geobridge build"):
        open_engine("tensorrt", onnx, settings=settings)
    build(bundle, plans=tmp_path)
    gpu.stand_in_device(b"Another GPU", 7)
    with pytest.raises(EngineError, match="gpu was Stand-in Orin when it was built, here it is A"):
        open_engine("tensorrt", onnx, settings=settings)
    gpu.stand_in_device(b"Stand-in Orin", 7)
    monkeypatch.setitem(sys.modules, "tensorrt", StandIn("10.16.2"))
    with pytest.raises(EngineError, match=r"tensorrt was 10\.3\.0 when .*, here it is 10\.16\.2"):
        open_engine("tensorrt", onnx, settings=settings)


def test_a_plan_under_anothers_name_is_refused(
    bundle: Path, onnx: Path, tmp_path: Path, trt: StandIn, monkeypatch: Any
) -> None:
    """As somebody would make it pass who renames files."""
    build(bundle, plans=tmp_path)
    [plan] = tmp_path.glob("*.plan")
    newer = StandIn("11.4.0")
    monkeypatch.setitem(sys.modules, "tensorrt", newer)
    build(bundle, plans=tmp_path)
    [other] = [path for path in tmp_path.glob("*.plan") if path != plan]
    plan.with_suffix(".json").replace(other.with_suffix(".json"))
    plan.replace(other)
    with pytest.raises(EngineError, match=r"tensorrt was 10\.3\.0 .*here it is 11\.4\.0"):
        open_engine("tensorrt", onnx, settings=EngineSettings(plans=tmp_path))
    assert len(did(newer, "load")) == 2  # of its own build alone


def damage(folder: Path, kind: str) -> None:
    [plan] = folder.glob("*.plan")
    if kind == "changed":
        plan.write_bytes(plan.read_bytes()[:-1] + b" ")
    elif kind == "no sidecar":
        plan.with_suffix(".json").unlink()
    elif kind == "sidecar":
        plan.with_suffix(".json").write_text("{}")
    elif kind == "writable":
        plan.chmod(0o666)
    elif kind == "writable folder":
        folder.chmod(0o777)


@pytest.mark.parametrize(
    ("kind", "problem"),
    [
        ("changed", "changed since it was built"),
        ("no sidecar", "No such file"),
        ("sidecar", "Field required"),
        ("writable", "others than you may write it"),
        ("writable folder", "others than you may write it"),
    ],
)
def test_damaged_and_foreign_plans_are_not_loaded(
    bundle: Path, onnx: Path, tmp_path: Path, trt: StandIn, kind: str, problem: str
) -> None:
    folder = tmp_path / "plans"
    build(bundle, plans=folder)
    damage(folder, kind)
    trt.calls.clear()
    with pytest.raises(EngineError, match=problem) as error:
        open_engine("tensorrt", onnx, settings=EngineSettings(plans=folder))
    assert "\n" not in str(error.value)
    assert did(trt, "load") == []


def test_what_tensorrt_does_not_build(bundle: Path, tmp_path: Path, trt: StandIn) -> None:
    trt.parser_error = "No importer registered for op: Gelu"
    with pytest.raises(EngineError, match=r"drone\.fp16\.onnx: TensorRT cannot parse it: No imp"):
        build(bundle, plans=tmp_path)
    trt.parser_error, trt.builds = "", False
    with pytest.raises(EngineError, match="could not build it: Tactic Device request: insuffic"):
        build(bundle, plans=tmp_path)
    trt.builds, trt.loads = True, False
    with pytest.raises(EngineError, match="cannot load what it built: The engine plan file is"):
        build(bundle, plans=tmp_path)
    assert list(tmp_path.glob("*.plan")) == []


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (lambda rows: np.roll(rows, 1, axis=1), "answers differently here than when packed"),
        (lambda rows: rows * np.nan, "6 of 6 are not finite"),
        (lambda rows: rows * 0.5, "not of unit length: lengths up to 0.5"),
    ],
    ids=["other", "nan", "short"],
)
def test_a_plan_that_answers_differently_is_not_kept(
    bundle: Path, tmp_path: Path, trt: StandIn, spoil: Callable[[Any], Any], problem: str
) -> None:
    trt.spoil = spoil
    with pytest.raises((BundleError, EngineError), match=problem):
        build(bundle, plans=tmp_path)
    assert list(tmp_path.glob("*.plan")) == []


def test_an_interrupted_build_leaves_nothing(
    bundle: Path, tmp_path: Path, trt: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    trt.wait = threading.Event()

    def interrupted(*arguments: Any, **options: Any) -> Any:
        assert trt.wait is not None
        trt.wait.wait(5)
        raise KeyboardInterrupt

    monkeypatch.setattr("geobridge.export.tensorrt.progress.wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        build(bundle, plans=tmp_path)
    assert did(trt, "build") == []
    assert list(tmp_path.iterdir()) == []


def test_a_batch_that_no_plan_takes(
    bundle: Path, tmp_path: Path, trt: StandIn, complaint: Callable[..., str]
) -> None:
    line = complaint("build", bundle, "--max-batch", 1025, "--plans", tmp_path)
    assert "--max-batch 1025: expected at most 1024" in line
    assert did(trt, "build") == []


def test_a_bundle_without_squares_has_nothing_to_compare_engines_on(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one of street pictures over imagery, or of a flight alone."""
    opened = Bundle.open(bundle)
    places = opened.places().copy()
    places["view"] = VIEW_CODES[View.STREET]
    monkeypatch.setattr(Bundle, "places", lambda self: places)
    with pytest.raises(BundleError, match="has no two squares to compare engines on"):
        engine_parity(opened, "onnxruntime", "fp16", EngineSettings())


def test_without_tensorrt_or_cuda(
    bundle: Path, onnx: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gpu: Any
) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    with pytest.raises(EngineError, match=r"tensorrt cannot be imported: .*docs/jetson\.md"):
        open_engine("tensorrt", onnx)
    monkeypatch.setattr(cuda, "NAMES", ("libcudart.so.0",))
    with pytest.raises(EngineError, match=r"no CUDA runtime: none of libcudart\.so\.0 can be loa"):
        Cuda()
    with pytest.raises(EngineError, match="the CUDA runtime has no cudaDeviceGetAttribute; 11"):
        Cuda("libm.so.6")


def test_what_cuda_refuses_is_told(gpu: Any) -> None:
    gpu.stand_in_fail_allocations(1)
    with pytest.raises(EngineError, match=r"CUDA: cudaMalloc: out of memory \(2\)"):
        Cuda().allocate(1 << 40)


def test_pictures_that_do_not_fit_the_plan(
    bundle: Path, onnx: Path, tmp_path: Path, trt: StandIn
) -> None:
    build(bundle, plans=tmp_path)
    engine = open_engine("tensorrt", onnx, settings=EngineSettings(plans=tmp_path))
    with pytest.raises(EngineError, match=r"pictures of \(1, 48, 24, 3\) uint8, the plan takes"):
        engine.run(pictures(1)[:, :, :24])


def test_a_plan_for_fewer_pictures_than_wanted(
    bundle: Path, onnx: Path, tmp_path: Path, trt: StandIn
) -> None:
    build(bundle, plans=tmp_path, max_batch=2)
    with pytest.raises(EngineError, match=r"takes 2 pictures at a time, wanted are 8; .*-batch 8"):
        open_engine("tensorrt", onnx, settings=EngineSettings(plans=tmp_path, max_batch=8))


def test_verify_compares_the_engine_on_the_bundles_squares(
    bundle: Path, tmp_path: Path, trt: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["build", str(bundle), "--plans", str(tmp_path), "--json"]) == 0
    capsys.readouterr()
    command = ["verify", str(bundle), "--engine", "tensorrt", "--plans", str(tmp_path)]
    assert main(command) == 0
    told = capsys.readouterr().out
    assert "tensorrt fp16" in told
    assert "find the same place first" in told
    rng = np.random.default_rng(1)

    def turned(rows: Any) -> Any:
        noisy = rows + rng.normal(0, 0.01, rows.shape)
        return noisy / np.linalg.norm(noisy, axis=1, keepdims=True)

    trt.spoil = turned
    assert main(command) == 2
    assert "tensorrt fp16: worst cosine 0.99" in capsys.readouterr().err


def test_the_daemons_encoder_opens_the_plan(bundle: Path, tmp_path: Path, trt: StandIn) -> None:
    build(bundle, plans=tmp_path)
    opened, settings = Bundle.open(bundle), EngineSettings(plans=tmp_path)
    encoder = Encoder.open(opened, View.DRONE, "tensorrt", "fp16", settings)
    assert encoder.encode(pictures(2)).shape == (2, 64)


def test_decisions_about_plans(tmp_path: Path) -> None:
    assert [workspace_for(free_mb) for free_mb in (100.0, 2000.0, 60_000.0)] == [64, 500, 1024]
    model = Path("drone.fp16.onnx")
    check_size(150 << 20, 100 << 20, "fp16", model)
    check_size(20 << 20, 10 << 20, "fp16", model)
    check_size(200 << 20, 100 << 20, "fp32", model)
    with pytest.raises(EngineError, match=r"has 210 MB .* network 105 MB: .* single precision"):
        check_size(200 << 20, 100 << 20, "fp16", model)
    assert count_half('{"Layers": ["a", "b"]}') == (2, 0)
    assert count_half("not JSON") == (0, 0)
    (tmp_path / "a.onnx").write_bytes(bytes(100))
    assert "a few minutes" in expectation(tmp_path, tmp_path / "a.onnx", None)


def test_the_time_to_expect_is_that_of_a_network_of_the_same_size_with_its_weights(
    bundle: Path, tmp_path: Path, trt: StandIn
) -> None:
    [plan] = build(bundle, plans=tmp_path / "plans")
    small, weights = tmp_path / "a.onnx", tmp_path / "a.onnx.data"
    small.write_bytes(bytes(10))
    weights.write_bytes(bytes(plan["plan"].stat().st_size))
    assert "an earlier one took" in expectation(tmp_path / "plans", small, weights)
    assert "a few minutes" in expectation(tmp_path / "plans", small, None)


@pytest.mark.parametrize(
    "ports",
    [
        [Port("image", "INPUT", "FLOAT", (-1, 48, 48, 3)), Port("d", "OUTPUT", "FLOAT", (-1, 64))],
        [Port("image", "INPUT", "UINT8", (-1, 3, 48, 48)), Port("d", "OUTPUT", "FLOAT", (-1, 64))],
        [Port("image", "INPUT", "UINT8", (-1, 48, 48, 3)), Port("d", "OUTPUT", "HALF", (-1, 64))],
        [Port("image", "INPUT", "UINT8", (-1, 48, 48, 3))],
    ],
)
def test_networks_that_are_no_encoders(ports: list[Port]) -> None:
    with pytest.raises(EngineError, match="expected one UINT8 input"):
        encoder_ports(ports, "x.onnx")
