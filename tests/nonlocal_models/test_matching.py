"""Groups of similar patches."""

import group_oracle
import pytest
import torch

from evodenoise.nonlocal_models.matching import GroupSettings, match_groups
from evodenoise.patches.grid import PatchGrid

SMALL = GroupSettings(patch_size=4, members=12, radius=5, step=3)


@pytest.mark.parametrize("step", [1, 2, 4])
@pytest.mark.parametrize("shape", [(9, 10, 1), (11, 8, 3), (14, 15, 1)])
def test_groups_by_the_definition(shape: tuple[int, ...], step: int) -> None:
    """A reference patch every `step` pixels leads the patches in reach that are nearest to it."""
    image = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    settings = GroupSettings(patch_size=3, members=10, radius=4, step=step)
    groups = torch.cat([*match_groups(image, settings)])
    expected = group_oracle.groups(image.double().numpy(), side=3, members=10, radius=4, step=step)
    columns = PatchGrid(image.shape, 3).columns
    found = {int(group[0]): {*group.tolist()} for group in groups}
    assert found == {
        group[0][0] * columns + group[0][1]: {y * columns + x for y, x in group}
        for group in expected
    }


def test_references_cover_the_image_to_its_last_row_and_column() -> None:
    image = torch.rand(18, 23, 1, generator=torch.Generator().manual_seed(0))
    references = torch.cat(list(match_groups(image, SMALL)))[:, 0]
    grid = PatchGrid(image.shape, 4)
    covered = torch.zeros(18 * 23)
    covered[grid.values(references).flatten()] = 1
    assert covered.all()


def test_blocks_do_not_change_the_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    image = torch.rand(30, 21, 1, generator=torch.Generator().manual_seed(0))

    def groups() -> dict[int, set[int]]:
        return {
            int(each[0]): set(each.tolist()) for each in torch.cat([*match_groups(image, SMALL)])
        }

    usual = groups()
    monkeypatch.setattr("evodenoise.nonlocal_models.matching.BLOCK", 1)
    assert len(usual) == 70
    assert groups() == usual


@pytest.mark.parametrize("at_once", [2, 32])
def test_blocks_done_together_find_the_same_groups(
    at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a GPU, where blocks at the border have as many candidates as those inside."""
    image = torch.rand(30, 70, 1, generator=torch.Generator().manual_seed(0))
    usual = torch.cat([*match_groups(image, SMALL)])
    monkeypatch.setattr("evodenoise.nonlocal_models.matching._blocks_at_once", lambda _: at_once)
    together = torch.cat([*match_groups(image, SMALL)])
    assert torch.equal(together.sort(1).values, usual.sort(1).values)
