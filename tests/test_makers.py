"""Models that are made ahead of measuring, in other processes."""

from __future__ import annotations

from pathlib import Path

import pytest

from spacecut.errors import PlatformUnavailable
from spacecut.measure import Budget, Campaign, Protocol, Store, platform_record
from spacecut.measure.makers import Makers
from spacecut.operators import INPUT, Network, Node, Operator
from spacecut.platforms import Platform, get_platform

QUICK = Protocol(warmup=1, least=3, most=3, seconds=0.2)
IMPOSSIBLE = Network.single(Operator("conv2d", 8, 14, 14, 12, kernel=3, groups=5))


def network(channels: int) -> Network:
    convolution = Operator("conv2d", 4, 8, 8, channels, kernel=3)
    relu = Operator("activation", channels, 8, 8, channels, activation="relu")
    return Network((4, 8, 8), (Node(convolution, (INPUT,)), Node(relu, (0,))), 1)


def files_of(makers: Makers, asked: Network) -> list[str] | None:
    made = makers.take(asked.key)
    return made and sorted(path.name for path in made.folder.iterdir())


def platform_of(name: str) -> Platform:
    try:
        return get_platform(name)
    except PlatformUnavailable as error:
        pytest.skip(str(error))


def test_as_many_are_made_at_a_time_as_there_are_cores() -> None:
    makers = Makers(get_platform("onnxruntime:int8"), cores=2)
    try:
        groups = makers.ahead(([network(channels)] for channels in (4, 8, 12, 16, 20)), lambda group: group)
        assert next(groups) == [network(4)]
        assert files_of(makers, network(8)) == files_of(makers, network(4)) == ["model"]
        assert files_of(makers, network(12)) is None
        assert [next(groups) for _ in range(2)] == [[network(8)], [network(12)]]
        made = makers.take(network(12).key)
        assert made is not None and made.seconds > 0
        assert makers.take(network(12).key) is None
        assert [next(groups) for _ in range(2)] == [[network(16)], [network(20)]]
        assert files_of(makers, network(16)) == ["model"]
        assert files_of(makers, network(20)) is None  # a single one is made no sooner than by what measures it
    finally:
        makers.close()
    assert not made.folder.exists()


def test_what_cannot_be_made_is_left_to_what_measures() -> None:
    makers = Makers(get_platform("onnxruntime:int8"), cores=2)
    try:
        assert next(makers.ahead([[IMPOSSIBLE, network(4), network(4)]], lambda group: group))
        assert files_of(makers, IMPOSSIBLE) is None
        assert files_of(makers, network(4)) == ["model"]
    finally:
        makers.close()


@pytest.mark.parametrize(("name", "cores"), [("onnxruntime", 2), ("onnxruntime:int8", 1)])
def test_nothing_is_made_ahead_where_that_saves_nothing(name: str, cores: int) -> None:
    makers = Makers(get_platform(name), cores)
    groups = [[network(4)], [network(8)]]
    assert list(makers.ahead(groups, lambda group: group)) == groups
    assert makers.take(network(4).key) is None
    makers.close()


def test_a_campaign_measures_what_was_made_ahead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = []
    take = Makers.take

    def noted(makers: Makers, key: str) -> object:
        made = take(makers, key)
        taken.append(made is not None)
        return made

    monkeypatch.setattr(Makers, "take", noted)
    monkeypatch.setattr("spacecut.measure.makers._cores", lambda: 2)
    platform = get_platform("onnxruntime:int8")
    store = Store(str(tmp_path / "runs.sqlite"), platform_record(platform))
    networks = [network(4), IMPOSSIBLE, network(8), network(12)]
    runs = Campaign(platform, store, QUICK).cover(networks, Budget(1e9, passes=2, more_passes=2, repairs=0))
    assert [run.error is None for run in runs[:4]] == [True, False, True, True]
    assert taken[:4] == [True, False, True, True]
    assert not any(taken[4:])  # by then they are kept where they are measured
    assert all(run.seconds > run.preparing > 0 for run in runs[:4] if run.error is None)
    store.close()


@pytest.mark.parametrize("name", ["onnxruntime:int8", "openvino:int8", "litert:int8"])
def test_a_model_comes_back_as_it_was_made(name: str, tmp_path: Path) -> None:
    platform = platform_of(name)
    model = platform.build(network(8))
    platform.write(model, tmp_path)
    back = platform.read(tmp_path)
    if isinstance(model, bytes):
        assert back == model
        return
    one, other = ([(op.get_friendly_name(), op.get_type_name()) for op in m.get_ordered_ops()] for m in (model, back))
    assert one == other
