//! [`Group`]: values of one kind, by account and id.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::disk::{Disk, Kind};

/// Values of one kind: the signing keys of all accounts, or their captions. Ordered by id within an account.
///
/// Where there is a disk every change is durable before it is told, so all changes block.
#[derive(Debug)]
pub(crate) struct Group<T> {
    /// The folder below the data directory.
    kind: Kind,
    all: Mutex<BTreeMap<(String, String), T>>,
    /// Held while a change is made and saved.
    saving: Mutex<()>,
}

/// A value as it is on disk.
#[derive(Serialize, Deserialize)]
struct Stored<T> {
    format: u32,
    account: String,
    id: String,
    value: T,
}

impl<T: Clone + Serialize + DeserializeOwned> Group<T> {
    /// Reads what is in the folder `name`. Blocking.
    pub(crate) fn load(name: &'static str, disk: Option<&Disk>) -> io::Result<Self> {
        let kind = Kind::Group(name);
        let mut all = BTreeMap::new();
        if let Some(disk) = disk {
            disk.make(kind)?;
            for stored in disk.load::<Stored<T>>(kind)? {
                if stored.format == 1 {
                    all.insert((stored.account, stored.id), stored.value);
                }
            }
        }
        Ok(Self {
            kind,
            all: Mutex::new(all),
            saving: Mutex::default(),
        })
    }

    /// A copy of one value.
    pub(crate) fn get(&self, account: &str, id: &str) -> Option<T> {
        self.lock().get(&key(account, id)).cloned()
    }

    /// Copies of all values of an account, with their ids.
    pub(crate) fn list(&self, account: &str) -> Vec<(String, T)> {
        self.lock()
            .iter()
            .filter(|((owner, _), _)| owner == account)
            .map(|((_, id), value)| (id.clone(), value.clone()))
            .collect()
    }

    /// Copies of all values of all accounts, with their accounts.
    pub(crate) fn all(&self) -> Vec<(String, T)> {
        let all = self.lock();
        let values = all.iter();
        let copy =
            |((account, _), value): (&(String, String), &T)| (account.clone(), value.clone());
        values.map(copy).collect()
    }

    /// The first value with this id, in whatever account, and the account.
    pub(crate) fn find(&self, id: &str) -> Option<(String, T)> {
        self.lock()
            .iter()
            .find(|((_, known), _)| known == id)
            .map(|((account, _), value)| (account.clone(), value.clone()))
    }

    /// Adds or replaces a value.
    ///
    /// # Errors
    /// What saving came back with; then nothing has changed.
    pub(crate) fn put(
        &self,
        account: &str,
        id: &str,
        value: T,
        disk: Option<&Disk>,
    ) -> io::Result<()> {
        let _saving = self.saving.lock().unwrap_or_else(PoisonError::into_inner);
        self.save(account, id, &value, disk)?;
        self.lock().insert(key(account, id), value);
        Ok(())
    }

    /// Changes a value if it is there, and returns what `change` does, or `None`.
    ///
    /// # Errors
    /// What saving came back with; then nothing has changed.
    pub(crate) fn change<R>(
        &self,
        account: &str,
        id: &str,
        disk: Option<&Disk>,
        change: impl FnOnce(&mut T) -> R,
    ) -> io::Result<Option<R>> {
        let _saving = self.saving.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(mut value) = self.get(account, id) else {
            return Ok(None);
        };
        let result = change(&mut value);
        self.save(account, id, &value, disk)?;
        self.lock().insert(key(account, id), value);
        Ok(Some(result))
    }

    /// Changes a value, which begins as the default where there is none. Where `change` refuses, nothing is
    /// changed, whatever it did.
    ///
    /// # Errors
    /// What saving came back with; then nothing has changed.
    pub(crate) fn change_or_make<R, E>(
        &self,
        account: &str,
        id: &str,
        disk: Option<&Disk>,
        change: impl FnOnce(&mut T) -> Result<R, E>,
    ) -> io::Result<Result<R, E>>
    where
        T: Default,
    {
        let _saving = self.saving.lock().unwrap_or_else(PoisonError::into_inner);
        let mut value = self.get(account, id).unwrap_or_default();
        let result = change(&mut value);
        if result.is_ok() {
            self.save(account, id, &value, disk)?;
            self.lock().insert(key(account, id), value);
        }
        Ok(result)
    }

    /// Forgets all values whose id is meant.
    ///
    /// # Errors
    /// What removing a file came back with; then some may be left.
    pub(crate) fn remove_all(
        &self,
        disk: Option<&Disk>,
        is_meant: impl Fn(&str) -> bool,
    ) -> io::Result<()> {
        let all = self.lock();
        let meant: Vec<_> = all.keys().filter(|(_, id)| is_meant(id)).cloned().collect();
        drop(all);
        for (account, id) in meant {
            self.remove(&account, &id, disk)?;
        }
        Ok(())
    }

    /// Forgets a value, and returns it.
    ///
    /// # Errors
    /// What removing the file came back with; then nothing has changed.
    pub(crate) fn remove(
        &self,
        account: &str,
        id: &str,
        disk: Option<&Disk>,
    ) -> io::Result<Option<T>> {
        let _saving = self.saving.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(disk) = disk
            && self.lock().contains_key(&key(account, id))
        {
            disk.remove(self.kind, &file_name(account, id)?)?;
        }
        Ok(self.lock().remove(&key(account, id)))
    }

    fn save(&self, account: &str, id: &str, value: &T, disk: Option<&Disk>) -> io::Result<()> {
        let Some(disk) = disk else { return Ok(()) };
        let stored = Stored {
            format: 1,
            account: account.to_owned(),
            id: id.to_owned(),
            value: value.clone(),
        };
        disk.save(self.kind, &file_name(account, id)?, &stored)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<(String, String), T>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(account: &str, id: &str) -> (String, String) {
    (account.to_owned(), id.to_owned())
}

/// Ids of one account may be those of another, so both are in the name.
///
/// # Errors
/// [`io::ErrorKind::InvalidInput`] for what could leave the folder.
fn file_name(account: &str, id: &str) -> io::Result<String> {
    let is_plain = |text: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
        (1..=100).contains(&text.len()) && text.bytes().all(plain)
    };
    if is_plain(account) && is_plain(id) {
        return Ok(format!("{account}~{id}"));
    }
    let text = "an account or an id has characters that no file name may have";
    Err(io::Error::new(io::ErrorKind::InvalidInput, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_outlives_the_server_and_what_is_removed_does_not() {
        let directory = tempfile::tempdir().unwrap();
        {
            let disk = Disk::open(directory.path()).unwrap();
            let group = Group::load("numbers", Some(&disk)).unwrap();
            for (account, id, value) in [("a", "x", 1), ("a", "y", 2), ("b", "x", 3)] {
                group.put(account, id, value, Some(&disk)).unwrap();
            }
            assert_eq!(group.remove("a", "y", Some(&disk)).unwrap(), Some(2));
            let change = |value: &mut i32| *value += 1;
            assert!(
                group
                    .change("b", "x", Some(&disk), change)
                    .unwrap()
                    .is_some()
            );
            assert!(
                group
                    .change("b", "z", Some(&disk), change)
                    .unwrap()
                    .is_none()
            );
        }
        let disk = Disk::open(directory.path()).unwrap();
        let group = Group::<i32>::load("numbers", Some(&disk)).unwrap();
        assert_eq!(group.list("a"), [("x".to_owned(), 1)]);
        assert_eq!(group.get("b", "x"), Some(4));
        assert_eq!(group.find("x"), Some(("a".to_owned(), 1)));
    }

    #[test]
    fn no_id_leaves_the_folder() {
        for id in ["", "..", "a/b", "a\\b", "a.b", &"a".repeat(101)] {
            assert!(file_name("a", id).is_err(), "{id:?}");
            assert!(file_name(id, "a").is_err(), "{id:?}");
        }
    }
}
