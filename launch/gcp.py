"""Makes a cluster file for `ray up` on Google's TPU VMs from cluster/gcp/, with your project and bucket, and checks it.

    python launch/gcp.py --slice=v2-32 --project=my-project --bucket=my-bucket

It rents nothing; it prints the commands that do. Problems with the file are reported here.
"""

from pathlib import Path

import yaml

from aloe.data.whole import write_whole
from aloe.errors import InputError
from cluster.gcp import config as gcp
from cluster.slices import slice_named
from launch.flags import Parser, run


def main() -> int:
    parser = Parser(__doc__)
    parser.add_argument("--slice", default="v2-32", help="a file of cluster/gcp/: v2-8 or v2-32")
    parser.add_argument("--project", required=True, help="id of the Google Cloud project")
    parser.add_argument("--bucket", required=True, help="name of the bucket, whose folder data/ every host copies")
    parser.add_argument("--zone", help="where to rent; else the file's own")
    parser.add_argument("--slices", type=int, default=1, help="how many, for sweeps")
    parser.add_argument("--out", type=Path, help="the file to write; else runs/gcp-SLICE.yaml")
    flags = parser.parse()
    config = gcp.filled(slice_named(flags.slice), flags.project, flags.bucket, flags.zone, flags.slices)
    gcp.check(config)
    for here in config["file_mounts"].values():
        if not Path(here).expanduser().is_file():
            mend = "ray get-auth-token --generate" if "auth_token" in here else "make lock"
            raise InputError(f"{here}: no such file, which every host is to have; make it with {mend}.")
    out = flags.out or Path("runs") / f"gcp-{flags.slice}.yaml"
    write_whole(
        out, f"# Made by launch/gcp.py of cluster/gcp/{flags.slice}.yaml.\n" + yaml.safe_dump(config, sort_keys=False)
    )
    print(
        f"""{out}: checked. What it does costs money until `ray down`:

    export RAY_AUTH_MODE=token RAY_UP_enable_autoscaler_v2=0
    ray up -y {out}
    ray dashboard {out}        # in a terminal of its own: brings the head's port 8265 here
    ray down -y {out}"""
    )
    return 0


if __name__ == "__main__":
    run(main)
