"""Public data sets in miniature, each in the exact layout in which it is published."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("scipy")

from scipy.io import savemat

from geobridge.training.datasets.layouts.visloc_maps import centre

TRAINED, TESTED, JUNK = (
    [f"{number:04d}" for number in some] for some in (range(12), range(100, 104), range(200, 202))
)
"""Places of the training part, places that are asked for, and distractors."""


def draw(path: Path, place: str) -> None:
    """All pictures of a place have its colour, and a grain of their own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    digests = [hashlib.sha256(text.encode()).digest() for text in (place, str(path.name))]
    colour = np.frombuffer(digests[0][:3], np.uint8).astype(float)
    grain = np.random.default_rng(list(digests[1])).normal(0, 6, (24, 24, 3))
    cv2.imwrite(str(path), np.clip(colour + grain, 0, 255).astype(np.uint8))


def place_of(number: int) -> tuple[float, float]:
    """Latitude and longitude, 400 m and more from each other."""
    return 30.0 + 0.004 * (number % 40), 120.0 + 0.004 * (number // 40)


def university(root: Path) -> None:
    folders = {
        "train/drone": (TRAINED, 3, "image-{:02d}.jpeg"),
        "train/satellite": (TRAINED, 1, "{place}.jpg"),
        "train/street": (TRAINED[:10], 2, "{:d}.jpg"),
        "test/query_drone": (TESTED, 3, "image-{:02d}.jpeg"),
        "test/query_drone_fog": (TESTED, 3, "image-{:02d}.jpeg"),
        "test/query_satellite": (TESTED, 1, "{place}.jpg"),
        "test/gallery_drone": (TESTED + JUNK, 3, "image-{:02d}.jpeg"),
        "test/gallery_satellite": (TESTED + JUNK, 1, "{place}.jpg"),
        "test/query_street": (TESTED, 2, "{:d}.jpg"),
    }
    for folder, (places, count, name) in folders.items():
        for place in places:
            for number in range(1, count + 1):
                draw(root / folder / place / name.format(number, place=place), place)
    (root / "train" / "google" / TRAINED[0]).mkdir(parents=True)


def sues(root: Path) -> None:
    for height in ("150", "300"):
        for folder, places, count in (
            (f"Training/{height}/drone", TRAINED, 2),
            (f"Training/{height}/satellite", TRAINED, 1),
            (f"Testing/{height}/query_drone", TESTED, 2),
            (f"Testing/{height}/query_satellite", TESTED, 1),
            (f"Testing/{height}/gallery_drone", TESTED + TRAINED, 2),
            (f"Testing/{height}/gallery_satellite", TESTED + TRAINED, 1),
            (f"Testing/weather_gallery_drone/{height}", TESTED + TRAINED, 2),
        ):
            for place in places:
                for number in range(count):
                    draw(root / folder / place / f"{number}.jpg", place)


def cvusa(root: Path) -> None:
    for split, places in (("train", TRAINED), ("val", TESTED)):
        lines = []
        for place in places:
            name = f"{int(place) + 1:07d}.jpg"
            street, above = f"streetview/panos/{name}", f"bingmap/19/{name}"
            draw(root / street, place)
            draw(root / above, place)
            lines.append(f"{above},{street},annotations/{name}")
        path = root / "splits" / f"{split}-19zl.csv"
        path.parent.mkdir(exist_ok=True)
        path.write_text("\n".join(lines) + "\n")
    where = [(*place_of(number), *place_of(number), 0) for number in range(210)]
    path = root / "split_locations" / "all.csv"
    path.parent.mkdir()
    path.write_text("".join(",".join(map(str, row)) + "\n" for row in where))


def cvact(root: Path) -> None:
    trained, tested, others = TRAINED, TESTED, [f"t{place}" for place in TESTED]
    for part, places in (("ANU_data_small", trained + tested), ("ANU_data_test", others)):
        for place in places:
            draw(root / part / "streetview" / f"{place}_grdView.jpg", place)
            draw(root / part / "satview_polish" / f"{place}_satView_polish.jpg", place)
    (root / "ANU_data_small" / "streetview" / f"{TRAINED[-1]}_grdView.jpg").unlink()
    places = trained + tested + others
    metres = np.array([[50.0 * at, 0.0] for at in range(len(places))])
    metres[-1] = metres[-2] + [3.0, 0.0]  # two test panoramas within five metres

    def struct(numbers: list[int]) -> Any:
        return {"all": np.array([[0]]), "ind": np.array(numbers)[:, None]}

    savemat(
        str(root / "ACT_data.mat"),
        {
            "panoIds": np.array(places),
            "utm": metres,
            "trainSet": struct([at + 1 for at in range(len(trained))]),
            "valSet": struct([len(trained) + at + 1 for at in range(len(tested))]),
        },
    )


def vigor(root: Path) -> None:
    for at, city in enumerate(("Chicago", "NewYork", "SanFrancisco", "Seattle")):
        tiles = [f"satellite_{41 + at + 0.0005 * n:.6f}_-87.000000.png" for n in range(12)]
        lines = []
        for number in range(8):
            place = f"{city}{number}"
            street = f"{place},{41 + at + 0.0005 * number:.6f},-87.000000,.jpg"
            draw(root / "ground" / city / street, place)
            draw(root / "satellite" / city / tiles[number], place)
            near = [tiles[(number + step) % 12] for step in (1, 2, 3)]
            words = [street, tiles[number], "3.0", "-2.5"]
            for tile in near:
                words += [tile, "160.0", "150.0"]
            lines.append(" ".join(words))
        for tile in tiles[8:]:
            draw(root / "satellite" / city / tile, tile)
        folder = root / "splits" / city
        folder.mkdir(parents=True)
        (folder / "satellite_list.txt").write_text("\n".join(tiles) + "\n")
        (folder / "same_area_balanced_train.txt").write_text("\n".join(lines[:4]) + "\n")
        (folder / "same_area_balanced_test.txt").write_text("\n".join(lines[4:]) + "\n")
        (folder / "pano_label_balanced.txt").write_text("\n".join(lines) + "\n")


def gta(root: Path, visloc: bool = False) -> None:
    tiles = [f"5_{number % 8}_{number // 8}.png" for number in range(24)]
    if visloc:
        tiles = [f"{'03' if n % 2 else '04'}_6_{n % 8}_{n // 8}.png" for n in range(24)]
    for number, tile in enumerate(tiles):
        draw(root / "satellite" / tile, f"tile{number}")
    for split, numbers in (("train", range(16)), ("test", range(16, 23))):
        entries = []
        for number in numbers:
            name = f"{'03' if number % 2 else '04'}_{number:04d}.png"
            draw(root / "drone" / "images" / name, f"tile{number}")
            both = [tiles[number], tiles[number + 1 if not visloc else number - 2]]
            entries.append(
                {
                    "drone_img_dir": "drone/images",
                    "drone_img_name": name,
                    "sate_img_dir": "satellite",
                    **(
                        {"drone_loc_lat_lon": centre(Path(tiles[number]).stem)}
                        if visloc
                        else {"drone_loc_x_y": [345.6 * (number % 8), 345.6 * (number // 8)]}
                    ),
                    "pair_pos_sate_img_list": both[:1] if number != 20 else [],
                    "pair_pos_sate_weight_list": [0.6],
                    "pair_pos_semipos_sate_img_list": both,
                    "pair_pos_semipos_sate_weight_list": [0.6, 0.2],
                }
            )
        for area in ("same",) if visloc else ("cross", "same"):
            (root / f"{area}-area-drone2sate-{split}.json").write_text(json.dumps(entries))


def denseuav(root: Path) -> None:
    lines = []
    for folder, places, names in (
        ("train/drone", TRAINED, ("H80.JPG", "H90.JPG", "H100.JPG")),
        ("train/satellite", TRAINED, ("H80.tif", "H80_old.tif", "H90.tif", "H100.tif")),
        ("test/query_drone", TESTED, ("H80.JPG", "H90.JPG")),
        ("test/gallery_satellite", TESTED + JUNK, ("H80.tif", "H80_old.tif")),
    ):
        for place in places:
            lat, lon = place_of(int(place))
            for name in names:
                draw(root / folder / f"00{place}" / name, place)
                lines.append(f"{folder}/00{place}/{name} E{lon:.7f} N{lat:.7f} 95.6")
    (root / "Dense_GPS_ALL.txt").write_text("\n".join(lines) + "\n")


def geoloc(root: Path) -> None:
    for split, places in (("train", TRAINED), ("val", JUNK), ("test", TESTED)):
        for view in ("drone", "satellite", "street"):
            for place in places:
                draw(root / split / view / f"{place}.jpg", place)
        lines = [json.dumps({"id": place, "text": f"place {place}"}) for place in places]
        (root / split / "text.jsonl").write_text("\n".join(lines) + "\n")


def captions(root: Path) -> None:
    rows = []
    for place in TRAINED + TESTED:
        draw(root / "images" / f"{place}.png", place)
        rows += [
            {"image": f"{place}.png", "caption": f"a picture of {place}, said {often}"}
            for often in ("once", "twice")
        ]
    (root / "captions.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")


def own(root: Path) -> None:
    with (root / "places.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["path", "view", "place", "split", "lat_deg", "lon_deg", "text"])
        for split, places in (("train", TRAINED), ("test", TESTED)):
            for place in places:
                for view in ("drone", "satellite"):
                    draw(root / f"{view}s" / f"{place}.jpg", place)
                    where = place_of(int(place))
                    table.writerow([f"{view}s/{place}.jpg", view, place, split, *where, ""])


SETS: dict[str, Callable[[Path], None]] = {
    "university1652": university,
    "sues200": sues,
    "cvusa": cvusa,
    "cvact": cvact,
    "vigor": vigor,
    "gta-uav": gta,
    "uav-visloc": lambda root: gta(root, visloc=True),
    "denseuav": denseuav,
    "geoloc": geoloc,
    "captions": captions,
    "own": own,
}


@pytest.fixture
def public_set(tmp_path: Path) -> Callable[[str], Path]:
    """Writes the data set of a name; gives its folder."""

    def write(name: str) -> Path:
        root = tmp_path / "sets" / name
        root.mkdir(parents=True)
        SETS[name](root)
        return root

    return write


@pytest.fixture(params=sorted(SETS))
def each_set(request: pytest.FixtureRequest, public_set: Callable[[str], Path]) -> Path:
    """Every one of them; the folder is called as the layout."""
    return public_set(request.param)
