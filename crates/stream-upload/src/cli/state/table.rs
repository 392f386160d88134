//! The table of `list`, for people.

use comfy_table::{ContentArrangement, Table, presets};

use super::DIGITS;
use super::record::Remembered;

/// One line for each, as wide as its texts are: a path that is broken over lines cannot be copied.
pub(super) fn of(found: &[Remembered]) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header([
            "ID",
            "STATE",
            "CONFIRMED",
            "SINCE",
            "EXPIRES",
            "NOTE",
            "SOURCE",
            "DESTINATION",
        ]);
    for one in found {
        let id: String = one.fingerprint.to_string().chars().take(DIGITS).collect();
        table.add_row([
            id,
            one.state().to_owned(),
            one.confirmed(),
            one.since(),
            one.expires(),
            one.note(),
            one.source(),
            one.destination(),
        ]);
    }
    if let Some(column) = table.column_mut(0) {
        column.set_padding((0, 1));
    }
    table.trim_fmt()
}
