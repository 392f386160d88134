//! F49–F58: what happens to the process, its machine and its clock.

mod clock;
mod kill;
mod pair;
mod scarce;
mod signal;

use crate::row::{Row, row};
use std::time::Duration;

pub(crate) fn rows() -> Vec<Row> {
    vec![
        row!(
            "F49",
            "a folder survives being killed again and again",
            "kill -9, 5 to 800 ms after the first sign of life, during 64 files",
            kill::at_random_times
        )
        .within(kill::bound()),
        row!(
            "F50",
            "killed between the answer and its record nothing is created twice",
            "kill -9 while the store's gate is shut, and at every sync of the store",
            kill::before_the_record_is_written
        ),
        row!(
            "F51",
            "one SIGINT stops within 5 s and loses no confirmed byte",
            "SIGINT during the first of three files",
            signal::once
        ),
        row!(
            "F52",
            "other signals and a closed stdout end as they should",
            "SIGTERM, SIGHUP, SIGINT twice while the state cannot be saved, a reader of stdout that leaves",
            signal::others
        ),
        row!(
            "F53",
            "two processes with one state folder share the work",
            "two runs over one folder, then two for one file",
            pair::one_state
        ),
        row!(
            "F54",
            "two processes with two state folders never mix bytes",
            "two runs for one upload URL",
            pair::two_states
        ),
        row!(
            "F55",
            "little memory is enough",
            "RLIMIT_AS of 256 MiB, 64 files of 4 GiB at once",
            scarce::memory
        ),
        row!(
            "F56",
            "few open files are enough",
            "RLIMIT_NOFILE of 64, 80 files, --parallel 64",
            scarce::descriptors
        ),
        row!(
            "F57",
            "a clock that jumps neither hangs nor hurries anything",
            "clock_gettime is lied to (LD_PRELOAD): an hour, a day, back and forth, and 1970, in the middle of an upload",
            clock::jumps
        ),
        row!(
            "F58",
            "a starving process is not taken for a stalled network",
            "nice 19 on a processor with two busy loops, --stall-timeout 5s",
            scarce::processor
        )
        .within(Duration::from_secs(240)),
    ]
}
