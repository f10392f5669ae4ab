"""MPPCA, social force, and their sum, on the flow at nodes (`models.quoted.mppca`, `.social_force`)."""

from collections.abc import Callable, Iterable, Iterator
from itertools import tee

import numpy as np

from data_prep.flow_windows.options import FlowWindowOptions
from data_prep.flow_windows.rows import clip_flows
from experiments.lab.settings.schema import Settings
from experiments.lab.systems.quoted.sources import CellRecipe, CellShards, Shape
from experiments.lab.systems.quoted.tasks import Clips, Method, Stream, map_task
from experiments.lab.training.task import Task
from models.quoted.cell_maps import CellGrid
from models.quoted.mppca import NODE_SIDE, NodeFlow, NodeMixtures, node_flow
from models.quoted.social_force import Standardized, force_maps, node_forces

FLOW = FlowWindowOptions()  # flow as the flow windows have it, whose other options do not act here


def grid(frame_shape: Shape) -> CellGrid:
    """Return the nodes in a frame: squares of the flow, which is computed on a picture of another size."""
    height, width = frame_shape[:2]
    flow_width, flow_height = (side // 2 for side in FLOW.picture_size(height, width))
    nodes = CellGrid.of_cells(NODE_SIDE, (flow_height, flow_width))
    scales = height / flow_height, width / flow_width
    return CellGrid(nodes.rows, nodes.columns, *(NODE_SIDE * scale for scale in scales))


def recipe(settings: Settings) -> CellRecipe:
    """Return the recipe of a node's features, whether it moves, and the mean force there."""
    return CellRecipe("flow_nodes", f"dis-{FLOW.width_px}x{FLOW.height_px}", cells, grid)


def cells(frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Yield the numbers of the nodes, (R, 36 + 2), of every frame, uint8 (H, W, 3) RGB."""
    for_nodes, for_forces = tee(clip_flows(frames, FLOW))
    for nodes, force in zip(map(node_flow, for_nodes), node_forces(for_forces), strict=True):
        numbers = np.concatenate([nodes.features, nodes.moves[..., None], force[..., None]], axis=-1)
        yield numbers.reshape(-1, numbers.shape[-1]).astype(np.float32)


def readers(nodes: CellGrid) -> tuple[Callable[[Stream], Iterator], Callable[[Stream], Iterator]]:
    """Return what reads the flow at the nodes, `NodeFlow`, and what reads the forces there."""

    def flows(stream: Stream) -> Iterator[NodeFlow]:
        for numbers in stream:
            by_node = numbers.reshape(nodes.rows, nodes.columns, -1)
            yield NodeFlow(by_node[..., :-2], by_node[..., -2] > 0)

    def forces(stream: Stream) -> Iterator[np.ndarray]:
        return (numbers[:, -1].reshape(nodes.rows, nodes.columns) for numbers in stream)

    return flows, forces


def mppca_task(source: CellShards, settings: Settings, seed: int) -> Task:
    """Return the task of MPPCA: its smoothed map looks 2 frames ahead."""
    nodes = grid(source.frame_shape)
    flows, _ = readers(nodes)

    def fit(clips: Clips) -> NodeMixtures:
        return NodeMixtures.fit(map(flows, clips()), settings.quoted.mppca_latent, seed)

    def maps(model: NodeMixtures, stream: Stream) -> Iterator[np.ndarray]:
        return model.maps(flows(stream))

    method = Method(fit, maps, nodes, {"mppca_latent": settings.quoted.mppca_latent}, ahead_frames=2)
    return map_task("MPPCA", source, method, seed)


def force_task(source: CellShards, settings: Settings, seed: int) -> Task:
    """Return the task of social force: flow is averaged 2 frames ahead, its map 2 more."""
    nodes = grid(source.frame_shape)
    _, forces = readers(nodes)

    def maps(model: None, stream: Stream) -> Iterator[np.ndarray]:
        return force_maps(forces(stream))

    def fit(clips: Clips) -> None:
        """Nothing is trained, but training clips say what is usual: their errors are kept."""

    return map_task("SF", source, Method(fit, maps, nodes, {}, ahead_frames=4), seed)


def sum_task(source: CellShards, settings: Settings, seed: int) -> Task:
    """Return the task of MPPCA + SF, as the paper prints it: MPPC+SFA."""
    nodes = grid(source.frame_shape)
    flows, forces = readers(nodes)

    def both(mixtures: NodeMixtures, stream: Stream) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        first, second = tee(stream)
        return zip(mixtures.maps(flows(first)), force_maps(forces(second)), strict=True)

    def fit(clips: Clips) -> tuple[NodeMixtures, Standardized]:
        mixtures = NodeMixtures.fit(map(flows, clips()), settings.quoted.mppca_latent, seed)
        return mixtures, Standardized.fit(both(mixtures, stream) for stream in clips())

    def maps(model: tuple[NodeMixtures, Standardized], stream: Stream) -> Iterator[np.ndarray]:
        return model[1].maps(both(model[0], stream))

    method = Method(fit, maps, nodes, {"mppca_latent": settings.quoted.mppca_latent}, ahead_frames=4)
    return map_task("MPPC+SFA", source, method, seed)
