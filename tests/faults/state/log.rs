//! What a process did to its files, out of a log of `strace`.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::replay::{Change, Node, Thing, Trace, When};

/// The system calls that this understands: all that change files.
pub(super) const CALLS: &str = "openat,creat,write,pwrite64,pwritev,pwritev2,ftruncate,fallocate,rename,renameat,renameat2,\
     unlink,unlinkat,rmdir,mkdir,mkdirat,fsync,fdatasync,lseek,link,linkat,copy_file_range,sendfile";

impl Trace {
    /// Reads a log of `strace -f -y -xx`; `root` was empty before.
    pub(super) fn read(log: &str, root: &Path) -> Self {
        let mut reader = Reader {
            trace: Self {
                things: vec![Thing {
                    is_folder: true,
                    ..Thing::default()
                }],
                said: Vec::new(),
                moments: Vec::new(),
            },
            root: hex(root),
            names: HashMap::from([(root.to_owned(), 0)]),
            positions: HashMap::new(),
        };
        let mut unfinished: HashMap<&str, (usize, String)> = HashMap::new();
        for (number, line) in log.lines().enumerate() {
            let (thread, what) = line.split_once(' ').unwrap_or((line, ""));
            let what = what.trim_start();
            if let Some(begin) = what.strip_suffix(" <unfinished ...>") {
                unfinished.insert(thread, (number, begin.to_owned()));
            } else if let Some(rest) = what.strip_prefix("<... ") {
                let (_, rest) = rest.split_once(" resumed>").unwrap();
                // What was resumed was begun, unless another filter hid it.
                let (begun, begin) = unfinished.remove(thread).unwrap();
                let ended = number;
                reader.call(&format!("{begin}{rest}"), When { begun, ended });
            } else {
                let when = When {
                    begun: number,
                    ended: number,
                };
                reader.call(what, when);
            }
        }
        reader.trace
    }
}

/// Makes a [`Trace`] of lines.
struct Reader {
    trace: Trace,
    /// As it stands in the log.
    root: String,
    /// What is where, as the process sees it.
    names: HashMap<PathBuf, Node>,
    /// Where the next `write` to a descriptor goes.
    positions: HashMap<u64, u64>,
}

impl Reader {
    fn call(&mut self, line: &str, when: When) {
        let Some((name, rest)) = line.split_once('(') else {
            return;
        };
        let Some((arguments, result)) = rest.rsplit_once(" = ") else {
            return;
        };
        if result.starts_with(['-', '?']) {
            return;
        }
        let arguments = arguments.trim_end().strip_suffix(')').unwrap_or(arguments);
        let arguments: Vec<_> = arguments.split(", ").collect();
        let returned = number(result);
        match name {
            "openat" => {
                self.positions.insert(returned, 0);
                let path = text(arguments[1]);
                if arguments[2].contains("O_CREAT") && !self.names.contains_key(&path) {
                    self.make(&path, false, when);
                }
                if arguments[2].contains("O_TRUNC") {
                    self.change(&path, when, Change::Cut { to: 0 });
                }
                let is_ours = self.names.contains_key(&path);
                assert!(!is_ours || !arguments[2].contains("O_APPEND"), "{line}");
            }
            "mkdir" => self.make(&text(arguments[0]), true, when),
            "write" => {
                let descriptor = number(arguments[0]);
                let bytes = bytes(arguments[1]);
                if descriptor == 1 {
                    let text = String::from_utf8_lossy(&bytes);
                    let lines = text.lines().map(|line| (when, line.to_owned()));
                    self.trace.said.extend(lines);
                    return;
                }
                let at = self.positions.entry(descriptor).or_default();
                let change = Change::Write { at: *at, bytes };
                *at += returned;
                self.change(&described(arguments[0]), when, change);
            }
            "pwrite64" => {
                let change = Change::Write {
                    at: number(arguments[3]),
                    bytes: bytes(arguments[1]),
                };
                self.change(&described(arguments[0]), when, change);
            }
            "lseek" => {
                self.positions.insert(number(arguments[0]), returned);
            }
            "ftruncate" => {
                let to = number(arguments[1]);
                self.change(&described(arguments[0]), when, Change::Cut { to });
            }
            "fsync" | "fdatasync" => {
                if let Some(node) = self.names.get(&described(arguments[0])) {
                    self.trace.things[*node].syncs.push(when);
                    self.trace.moments.push(when.ended);
                }
            }
            "rename" => self.rename(&text(arguments[0]), &text(arguments[1]), when),
            "unlink" => {
                self.name(&text(arguments[0]), None, when);
            }
            "unlinkat" => {
                let path = described(arguments[0]).join(text(arguments[1]));
                self.name(&path, None, when);
            }
            // Nothing else may touch what is watched: it would have to be understood.
            _ => {
                assert!(!line.contains(&self.root), "not understood: {line}");
            }
        }
    }

    fn make(&mut self, path: &Path, is_folder: bool, when: When) {
        let node = self.trace.things.len();
        if self.name(path, Some(node), when) {
            self.trace.things.push(Thing {
                is_folder,
                ..Thing::default()
            });
        }
    }

    fn rename(&mut self, from: &Path, to: &Path, when: When) {
        let Some(node) = self.names.remove(from) else {
            return;
        };
        assert!(!self.trace.things[node].is_folder, "a folder moved");
        assert_eq!(from.parent(), to.parent(), "a file moved elsewhere");
        let folder = self.names[to.parent().unwrap()];
        self.names.insert(to.to_owned(), node);
        let names = vec![(leaf(from), None), (leaf(to), Some(node))];
        self.note(folder, when, Change::Names(names));
    }

    /// Lets a name lead to a node, or nowhere. `false` if it is not one of ours.
    fn name(&mut self, path: &Path, node: Option<Node>, when: When) -> bool {
        let folder = path.parent().and_then(|parent| self.names.get(parent));
        let Some(folder) = folder.copied() else {
            return false;
        };
        match node {
            Some(node) => self.names.insert(path.to_owned(), node),
            None => self.names.remove(path),
        };
        self.note(folder, when, Change::Names(vec![(leaf(path), node)]));
        true
    }

    fn change(&mut self, path: &Path, when: When, change: Change) {
        if let Some(node) = self.names.get(path) {
            self.note(*node, when, change);
        }
    }

    fn note(&mut self, node: Node, when: When, change: Change) {
        self.trace.things[node].changes.push((when, change));
        self.trace.moments.push(when.ended);
    }
}

fn leaf(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

/// The number that a text begins with.
fn number(text: &str) -> u64 {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    text[..end].parse().unwrap_or(0)
}

/// `"\x2f\x61"`
fn bytes(quoted: &str) -> Vec<u8> {
    assert!(quoted.ends_with('"'), "cut short: {quoted}");
    let digits = quoted.trim_matches('"').split("\\x").skip(1);
    digits
        .map(|digits| u8::from_str_radix(digits, 16).unwrap())
        .collect()
}

fn text(quoted: &str) -> PathBuf {
    String::from_utf8(bytes(quoted)).unwrap().into()
}

/// The path in `7<\x2f\x61>`; of a file that was removed meanwhile, none.
fn described(descriptor: &str) -> PathBuf {
    let Some((_, path)) = descriptor.split_once('<') else {
        return PathBuf::new();
    };
    match path.strip_suffix('>') {
        Some(path) => text(&format!("\"{path}\"")),
        None => PathBuf::new(),
    }
}

fn hex(path: &Path) -> String {
    let bytes = path.as_os_str().as_encoded_bytes();
    bytes.iter().map(|byte| format!("\\x{byte:02x}")).collect()
}
