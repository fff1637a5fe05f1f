"""Chain and key in files, as certbot keeps them."""

from pathlib import Path

from worker.core.renewal import InFiles


def write(folder: Path, number: int, chain: str, key: str) -> None:
    archive = folder / "archive" / "shop"
    archive.mkdir(parents=True, exist_ok=True)
    (archive / f"fullchain{number}.pem").write_text(chain)
    (archive / f"privkey{number}.pem").touch(mode=0o600)
    (archive / f"privkey{number}.pem").write_text(key)


def link(folder: Path, *, fullchain: int, privkey: int) -> Path:
    live = folder / "live" / "shop"
    live.mkdir(parents=True, exist_ok=True)
    for name, number in (("fullchain", fullchain), ("privkey", privkey)):
        (live / f"{name}.pem").unlink(missing_ok=True)
        (live / f"{name}.pem").symlink_to(f"../../archive/shop/{name}{number}.pem")
    return live


def lineage(folder: Path) -> Path:
    """As certbot keeps it: links in `live/` to files in `archive/`."""
    write(folder, 1, "chain", "key")
    return link(folder, fullchain=1, privkey=1)


SHOP = InFiles("live/shop/fullchain.pem", "live/shop/privkey.pem")
