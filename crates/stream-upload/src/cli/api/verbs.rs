//! Which verb does which operation. The help reads this table, and so do the tests.

use clap::Command;
use stream_api::Op;

/// Each operation and the verb that does it. Two operations share a verb where only its arguments tell them apart.
#[rustfmt::skip]
pub(super) const VERBS: &[(Op, &str)] = &[
    (Op::VideosList,              "video list"),
    (Op::VideosGet,               "video get"),
    (Op::VideosCreateForm,        "video upload"),
    (Op::VideosEdit,              "video edit"),
    (Op::VideosDelete,            "video delete"),
    (Op::EmbedGet,                "video embed"),
    (Op::VideosStorageUsage,      "usage"),
    (Op::VideosCreateTus,         "direct create"),
    (Op::DirectUploadCreate,      "direct create"),
    (Op::CopyCreate,              "copy"),
    (Op::ClipCreate,              "clip"),
    (Op::TokenCreate,             "token"),
    (Op::KeysList,                "key list"),
    (Op::KeysCreate,              "key create"),
    (Op::KeysDelete,              "key delete"),
    (Op::LiveInputsList,          "live-input list"),
    (Op::LiveInputsCreate,        "live-input create"),
    (Op::LiveInputsGet,           "live-input get"),
    (Op::LiveInputsUpdate,        "live-input update"),
    (Op::LiveInputsDelete,        "live-input delete"),
    (Op::LiveInputsRotateKeys,    "live-input rotate-keys"),
    (Op::OutputsList,             "output list"),
    (Op::OutputsCreate,           "output create"),
    (Op::OutputsUpdate,           "output update"),
    (Op::OutputsDelete,           "output delete"),
    (Op::WatermarksList,          "watermark list"),
    (Op::WatermarksCreate,        "watermark create"),
    (Op::WatermarksCreateFromUrl, "watermark create"),
    (Op::WatermarksGet,           "watermark get"),
    (Op::WatermarksDelete,        "watermark delete"),
    (Op::WebhookGet,              "webhook get"),
    (Op::WebhookSet,              "webhook set"),
    (Op::WebhookDelete,           "webhook delete"),
    (Op::AudioTracksList,         "audio list"),
    (Op::AudioTracksCreate,       "audio add"),
    (Op::AudioTracksCopy,         "audio add"),
    (Op::AudioTracksEdit,         "audio edit"),
    (Op::AudioTracksDelete,       "audio delete"),
    (Op::CaptionsList,            "caption list"),
    (Op::CaptionsGet,             "caption get"),
    (Op::CaptionsPut,             "caption put"),
    (Op::CaptionsDelete,          "caption delete"),
    (Op::CaptionsGenerate,        "caption generate"),
    (Op::CaptionsVtt,             "caption vtt"),
    (Op::DownloadsList,           "download list"),
    (Op::DownloadsCreate,         "download create"),
    (Op::DownloadsCreateType,     "download create"),
    (Op::DownloadsDelete,         "download delete"),
    (Op::DownloadsDeleteType,     "download delete"),
];

/// The verb that does `op`.
pub(super) fn verb_of(op: Op) -> &'static str {
    let row = VERBS.iter().find(|(known, _)| *known == op);
    row.map_or(op.endpoint().id, |(_, verb)| verb)
}

/// Adds to the help of each verb what it asks the API for, and where Cloudflare describes that.
pub(crate) fn describe(command: Command) -> Command {
    VERBS.iter().fold(command, |command, (op, verb)| {
        let row = op.endpoint();
        let path = row.path.trim_start_matches("/accounts/{account_id}");
        let line = format!("API: {} {path}, {}", row.method, row.doc);
        add(command, verb, &line)
    })
}

fn add(command: Command, verb: &str, line: &str) -> Command {
    let (first, rest) = verb.split_once(' ').unwrap_or((verb, ""));
    command.mut_subcommand(first, |command| {
        if !rest.is_empty() {
            return add(command, rest, line);
        }
        let help = command.get_after_help().map(ToString::to_string);
        let help = help.unwrap_or_default();
        let gap = if help.contains("\nAPI: ") {
            "\n"
        } else {
            "\n\n"
        };
        command.after_help(format!("{help}{gap}{line}"))
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;
    use stream_api::endpoints::TABLE;

    use super::*;
    use crate::cli::args::Args;

    #[test]
    fn each_row_of_the_table_has_its_verb() {
        for row in TABLE {
            let verbs = VERBS.iter().filter(|(op, _)| *op == row.op).count();
            assert_eq!(verbs, 1, "{}", row.id);
        }
    }

    #[test]
    fn each_verb_is_there_and_its_help_names_the_operation() {
        let command = describe(Args::command());
        for (op, verb) in VERBS {
            let found = verb.split(' ').fold(&command, |command, word| {
                command
                    .find_subcommand(word)
                    .unwrap_or_else(|| panic!("there is no `{verb}`"))
            });
            let help = found.get_after_help().unwrap().to_string();
            assert!(help.contains(op.endpoint().doc), "{verb}: {help}");
        }
    }
}
