//! [`SmallDisk`]: a disk of a few megabytes that is seen by chosen processes only.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use test_support::{Process, Stream};

use crate::world::PATIENCE;

/// A tmpfs in a mount namespace of its own. It goes with the process that holds the namespace, so that nothing is left behind.
pub(crate) struct SmallDisk {
    holder: Process,
    at: PathBuf,
}

impl SmallDisk {
    /// Mounts one of `size`, as tmpfs writes it, over the folder `at`, which is made.
    pub(crate) async fn mount(at: &Path, size: &str) -> Result<Self, String> {
        fs::create_dir_all(at).unwrap();
        let mut command = Command::new("unshare");
        let script = "mount -t tmpfs -o mode=700,size=\"$1\" tmpfs \"$0\" && echo mounted && exec sleep infinity";
        command
            .args(["--mount", "sh", "-c", script])
            .arg(at)
            .arg(size);
        let why = |error: &dyn std::fmt::Display| {
            format!("cannot mount a small disk (root and util-linux are needed): {error}")
        };
        let holder = Process::spawn(command).map_err(|error| why(&error))?;
        let mounted = holder.wait_for_line(Stream::Stdout, |line| line == "mounted", PATIENCE);
        mounted.await.map_err(|error| why(&error))?;
        Ok(Self {
            holder,
            at: at.to_owned(),
        })
    }

    /// `command`, to be run where the disk is.
    pub(crate) fn command(&self, command: &Command) -> Command {
        let mut inside = Command::new("nsenter");
        inside
            .args(["--mount", "--target", &self.holder.id().to_string(), "--"])
            .arg(command.get_program())
            .args(command.get_args())
            .env_clear();
        for (name, value) in command.get_envs() {
            if let Some(value) = value {
                inside.env(name, value);
            }
        }
        inside
    }

    /// The disk's folder, as it can be reached from here.
    pub(crate) fn path(&self) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.holder.id()));
        root.join(self.at.strip_prefix("/").unwrap())
    }

    /// Takes all the space that is left. Returns what has to be removed to have it again.
    pub(crate) fn fill(&self) -> PathBuf {
        let filler = self.path().join("filler");
        let mut file = File::create(&filler).unwrap();
        let error = io::copy(&mut io::repeat(0), &mut file).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        filler
    }

    /// Mounts it again, so that nothing can be written.
    pub(crate) fn make_read_only(&self) {
        let mut mount = Command::new("mount");
        mount.args(["-o", "remount,ro"]).arg(&self.at);
        mount.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        assert!(self.command(&mount).status().unwrap().success());
    }

    /// Puts what is on it into the folder that it hides, and goes.
    pub(crate) fn leave(self) {
        let mut copy = Command::new("cp");
        copy.arg("-a").arg(self.path().join(".")).arg(&self.at);
        assert!(copy.status().unwrap().success());
    }
}
