"""The progress bar for long work: tqdm, which shows the time left, with few lines where no one watches a terminal."""

import functools
import sys

from tqdm import tqdm

progress_bar = functools.partial(tqdm, mininterval=0.1 if sys.stderr.isatty() else 10.0, dynamic_ncols=True)
