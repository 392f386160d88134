//! F59–F64: what happens to the files that are sent.

mod changed;
mod names;
mod replaced;
mod unreadable;

use crate::row::{Row, row};

pub(crate) fn rows() -> Vec<Row> {
    vec![
        row!(
            "F59",
            "a file that is written to while it is sent is not finished",
            "a writer appends, cuts off the end, cuts off what was sent, and overwrites, after 4 MiB",
            changed::while_sent
        ),
        row!(
            "F60",
            "a file that was replaced is never mixed with what it was",
            "rename over 50 half-sent files, with the same size and time; an identical copy over another",
            replaced::by_rename
        ),
        row!(
            "F61",
            "an edit begins anew and a touch goes on",
            "a byte of a half-sent file is changed and its time set back; chmod; mv",
            changed::between_runs
        ),
        row!(
            "F62",
            "links and special files are never sent or waited for",
            "a symbolic link, a FIFO and a folder in place of files of a searched folder; a FIFO, /dev/zero and a folder by name",
            replaced::by_something_else
        ),
        row!(
            "F63",
            "a file that cannot be read fails alone",
            "preadv2 and pread64 fail with EIO, once and for good (strace); EACCES; the file is deleted while it is sent",
            unreadable::rows
        ),
        row!(
            "F64",
            "every name and every length arrives",
            "a corpus of names and of lengths",
            names::and_lengths
        ),
    ]
}
