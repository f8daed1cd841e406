"""Trains a task on a slice, or in this process.

    ray job submit -- python launch/train.py --task=clevrer --hosts=4     as a job of a Ray cluster
    python launch/train.py --task=clevrer --hosts=4                       finds a cluster, or emulates a slice here
    python launch/train.py --task=clevrer --local                         in this process, without Ray

A run resumes from the last checkpoint in its workdir. Ctrl-C and `ray job stop` save a checkpoint first; Ctrl-C on a
submitted job only detaches from its output.
"""

import sys

import jax

from aloe import tasks
from aloe.training import dry_run, loop, workdir
from launch import programs
from launch.flags import Parser, resolve_run, run
from launch.machines import StopOnSignal, add_machines, add_smaller, run_on_slice, slice_of, with_smaller


def main() -> int:
    parser = Parser(__doc__)
    parser.add_run()
    add_machines(parser)
    add_smaller(parser)
    parser.add_argument("--dry_run", action="store_true", help="print what would be run, and stop")
    parser.add_argument("--profile", default="", metavar="FIRST:LAST", help="steps to trace, such as 100:105")
    flags = parser.parse()
    wanted = slice_of(flags)
    config = resolve_run(flags)
    config.profile = flags.profile
    loop.profile_steps(config.profile)
    loop.check_settings(config)
    if flags.dry_run:
        described = dry_run.describe(
            config,
            hosts=wanted.hosts if wanted else 1,
            devices_per_host=wanted.generation.devices_per_host if wanted else jax.local_device_count(),
            memory_per_device=wanted.generation.memory_per_device if wanted else None,
        )
        print(described, flush=True)
        return 0
    if wanted:
        # Problems with the data or the workdir are reported here, before any host is requested.
        tasks.part(config.task, "task").make(config).streams()
        workdir.refuse_another(config)
    print(f"Workdir: {config.workdir}", flush=True)
    if wanted:
        return run_on_slice(with_smaller(wanted, flags.smaller), programs.train, config)
    stop = StopOnSignal()
    programs.train(config.to_dict(), stop=stop, who=" ".join(sys.argv))
    return stop.exit_status


if __name__ == "__main__":
    run(main)
