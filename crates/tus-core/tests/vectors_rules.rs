//! No rule of the protocol is without a row of `tests/vectors`, or a reason.

#[path = "../../../tests/vectors/rows.rs"]
#[allow(dead_code, reason = "each runner uses its part of it")]
mod rows;

use std::collections::{BTreeMap, BTreeSet};

use rows::{SECTIONS, list, text};

#[test]
fn every_rule_has_a_row_or_a_reason_for_everybody_whom_it_binds() {
    let rules = rows::file("rules.json");
    let mut bound = BTreeMap::new();
    for rule in list(&rules) {
        let who: BTreeSet<_> = list(&rule["who"]).iter().map(text).collect();
        let twice = bound.insert(text(&rule["id"]), who);
        assert!(twice.is_none(), "{rule} is there twice");
    }
    assert_eq!(bound.len(), 129);
    let (mut held, mut reasons) = (BTreeSet::new(), BTreeSet::new());
    let mut wrong = Vec::new();
    let files = SECTIONS.map(|section| rows::file(&format!("{section}.json")));
    for (file, section) in files.iter().zip(SECTIONS) {
        rows::keys(section, file, "section rows not_rows");
        for row in list(&file["rows"]) {
            let (rule, who) = (text(&row["rule"]), text(&row["who"]));
            match bound.get(rule) {
                Some(bound) if bound.is_empty() || bound.contains(who) => {}
                _ => wrong.push(format!("{section}: {rule} does not bind {who}")),
            }
            held.insert((rule, who));
        }
        for entry in list(&file["not_rows"]) {
            rows::keys(section, entry, "rule who why held_by");
            assert!(text(&entry["why"]).len() > 9, "{entry} gives no reason");
            if !bound.contains_key(text(&entry["rule"])) {
                wrong.push(format!("{section}: {} is no rule", entry["rule"]));
            }
            reasons.insert((text(&entry["rule"]), text(&entry["who"])));
            if let Some(test) = entry["held_by"].as_str()
                && !is_a_test(test)
            {
                wrong.push(format!("{section}: there is no test {test}"));
            }
        }
    }
    for (rule, who) in bound {
        // What binds nobody is a remark: a row for either side will do.
        let sides = if who.is_empty() {
            BTreeSet::from(["-"])
        } else {
            who
        };
        for side in sides {
            let is_held = |(it, by): &(&str, &str)| *it == rule && (side == "-" || *by == side);
            match (held.iter().any(is_held), reasons.contains(&(rule, side))) {
                (false, false) => wrong.push(format!("{rule} {side} has neither row nor reason")),
                (true, true) => wrong.push(format!("{rule} {side} has a row: the reason is stale")),
                _ => {}
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// `path: name` of a test that exists.
fn is_a_test(held_by: &str) -> bool {
    let (path, name) = held_by.split_once(": ").unwrap_or((held_by, ""));
    std::fs::read_to_string(rows::workspace().join(path))
        .is_ok_and(|source| source.contains(&format!("fn {name}(")))
}
