//! A second file, into which writes go one behind the other before they count: to make them durable takes one short,
//! sequential write over bytes that the file has already, where in the file itself, with its indexes, each would change pages
//! all over it.
//!
//! After a header with a number come entries, each with its length and a checksum over itself, all before it and the number. The
//! first whose checksum is wrong was never finished, or is left of what was there before: entries end there.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::DatabaseError;

/// What such a file begins with; the last byte is the version of what is told here and of the entries.
const MAGIC: [u8; 8] = *b"patjrnl\x01";

/// The magic, the number, and the checksum of both, with which that of the first entry begins.
type Header = [u8; 20];

/// Its bytes.
const HEADER: u64 = 20;

/// Bytes before an entry: its length and its checksum.
const FRAME: u64 = 4 + 4;

/// Where an entry would begin: there is none.
const END: [u8; 8] = [0; 8];

/// Bytes by which the file grows. They are written as zeros: when they are written again, the file system has nothing of its
/// own to write, and a write is on the disk in a fraction of the time.
const GROWTH: usize = 1024 * 1024;

/// A file of more bytes is cut when its entries are forgotten: it grew while the file itself could not be written.
const LARGE: u64 = 8 * 1024 * 1024;

/// A step of the file itself: the number of the last entry that is in it. A program that knows nothing of the journal
/// refuses a file that has taken it.
pub const CONTAINED: &str = "
CREATE TABLE contained (one INTEGER PRIMARY KEY CHECK (one = 1), number INTEGER NOT NULL);
INSERT INTO contained VALUES (1, 0);
";

/// Entries that are durable, and not yet or not surely in the file itself.
pub struct Journal {
    path: PathBuf,
    file: File,
    /// Of the entry before the first.
    base: i64,
    /// Of the last entry.
    number: i64,
    /// Where the next entry goes.
    end: u64,
    /// Where the file ends.
    size: u64,
    /// Of the last entry, or of the header.
    checksum: u32,
    /// Whether the header may be another than this says.
    unsure: bool,
    /// Whether there may be entries behind the end that were refused.
    refused: bool,
}

impl Journal {
    /// Opens or creates it; `contained` is the last entry that is in the file itself.
    pub fn open(path: &Path, contained: i64) -> Result<Self, DatabaseError> {
        let refuse = |why: &str| {
            Err(DatabaseError(format!(
                "{} {why}; put both back from one backup, or move both away to begin anew",
                path.display()
            )))
        };
        if contained > 0 && !path.exists() {
            return refuse("is missing, and the file it belongs to is not");
        }
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .mode(0o600)
            .open(path)?;
        let mut journal = Self {
            path: path.to_owned(),
            size: file.metadata()?.len(),
            file,
            base: contained,
            number: contained,
            end: HEADER,
            checksum: 0,
            unsure: true,
            refused: false,
        };
        let mut found = Header::default();
        let whole = journal.size >= HEADER;
        if whole {
            journal.file.read_exact_at(&mut found, 0)?;
        }
        // A first start may have ended before there was a header.
        if contained == 0 && (!whole || found == Header::default()) {
            journal.clear()?;
            journal.file.sync_all()?;
            if let Some(dir) = path.parent() {
                File::open(dir)?.sync_all()?;
            }
            return Ok(journal);
        }
        let Some((base, checksum)) = number_in(found) else {
            return refuse("is damaged, or not of this version");
        };
        let mut last = (base, HEADER, checksum);
        journal.base = base;
        journal.checksum = checksum;
        journal.unsure = false;
        journal.scan(|number, entry, checksum| {
            last = (number, last.1 + FRAME + entry.len() as u64, checksum);
            Ok(())
        })?;
        (journal.number, journal.end, journal.checksum) = last;
        if journal.number < contained {
            return refuse("is older than the file it belongs to");
        }
        if journal.base > contained {
            return refuse("is newer than the file it belongs to");
        }
        Ok(journal)
    }

    /// Appends entries, all or none. On the disk when it returns.
    pub fn append(&mut self, entries: &[Vec<u8>]) -> Result<(), DatabaseError> {
        if self.unsure {
            // What is appended behind another header would not be found.
            self.clear()?;
        }
        let mut bytes = Vec::new();
        let mut checksum = self.checksum;
        for entry in entries {
            checksum = check(checksum, entry);
            let length = u32::try_from(entry.len()).map_err(io::Error::other)?;
            bytes.extend(length.to_le_bytes());
            bytes.extend(checksum.to_le_bytes());
            bytes.extend(entry);
        }
        let end = self.end + bytes.len() as u64;
        let written = self.write(&bytes, end);
        self.refused = written.is_err();
        if let Err(error) = written {
            // They do not count, also not after a restart.
            if self.end + FRAME <= self.size {
                let _ = self.file.write_all_at(&END, self.end);
            }
            return Err(error.into());
        }
        (self.end, self.checksum) = (end, checksum);
        self.number += i64::try_from(entries.len()).map_err(io::Error::other)?;
        Ok(())
    }

    fn write(&mut self, bytes: &[u8], end: u64) -> io::Result<()> {
        self.grow(end)?;
        self.file.write_all_at(bytes, self.end)?;
        self.file.sync_data()
    }

    fn grow(&mut self, end: u64) -> io::Result<()> {
        let zeros = vec![0; if end > self.size { GROWTH } else { 0 }];
        while end > self.size {
            self.file.write_all_at(&zeros, self.size)?;
            self.size += GROWTH as u64;
        }
        Ok(())
    }

    /// Calls `each` for the entries after that number, oldest first.
    pub fn after(
        &self,
        number: i64,
        mut each: impl FnMut(&[u8]) -> Result<(), DatabaseError>,
    ) -> Result<(), DatabaseError> {
        let mut last = self.base;
        self.scan(|at, entry, _| {
            last = at;
            if at <= number || at > self.number {
                return Ok(());
            }
            each(entry)
                .map_err(|error| DatabaseError(format!("entry {at} of the journal: {error}")))
        })?;
        if last < self.number {
            return Err(DatabaseError(format!(
                "the journal {} ends with entry {last}, and {} were written",
                self.path.display(),
                self.number
            )));
        }
        Ok(())
    }

    /// Calls `each` for all entries that are whole, with their number and checksum.
    fn scan(
        &self,
        mut each: impl FnMut(i64, &[u8], u32) -> Result<(), DatabaseError>,
    ) -> Result<(), DatabaseError> {
        let mut file = BufReader::with_capacity(64 * 1024, File::open(&self.path)?);
        let mut header = Header::default();
        file.read_exact(&mut header)?;
        let Some((_, mut checksum)) = number_in(header) else {
            return Ok(());
        };
        let mut left = self.size.saturating_sub(HEADER);
        for number in self.base + 1.. {
            let mut frame = [[0; 4]; 2];
            if left < FRAME {
                break;
            }
            file.read_exact(frame.as_flattened_mut())?;
            let [length, expected] = frame.map(u32::from_le_bytes);
            left -= FRAME;
            if length == 0 || u64::from(length) > left {
                break;
            }
            left -= u64::from(length);
            let mut entry = vec![0; length as usize];
            file.read_exact(&mut entry)?;
            checksum = check(checksum, &entry);
            if checksum != expected {
                break;
            }
            each(number, &entry, checksum)?;
        }
        Ok(())
    }

    /// Number of the last entry.
    pub fn number(&self) -> i64 {
        self.number
    }

    /// Bytes of entries that wait.
    pub fn bytes(&self) -> u64 {
        self.end - HEADER
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.number == self.base
    }

    /// Forgets all entries: they are in the file itself, durably. What stays is their number, by which the two files are known
    /// to belong together.
    pub fn clear(&mut self) -> Result<(), DatabaseError> {
        if self.is_empty() && !self.unsure && !self.refused {
            return Ok(());
        }
        let (header, checksum) = header(self.number);
        self.unsure = true;
        let bytes: Vec<_> = header.into_iter().chain(END).collect();
        self.file.write_all_at(&bytes, 0)?;
        self.file.sync_data()?;
        self.base = self.number;
        (self.end, self.checksum) = (HEADER, checksum);
        (self.unsure, self.refused) = (false, false);
        self.size = self.size.max(HEADER + FRAME);
        if self.size > LARGE && self.file.set_len(GROWTH as u64).is_ok() {
            self.size = GROWTH as u64;
        }
        Ok(())
    }
}

/// A header, and its checksum.
fn header(number: i64) -> (Header, u32) {
    let said = [MAGIC, number.to_le_bytes()];
    let checksum = crc32fast::hash(said.as_flattened());
    let mut header = Header::default();
    let bytes = said.into_iter().flatten().chain(checksum.to_le_bytes());
    header
        .iter_mut()
        .zip(bytes)
        .for_each(|(to, from)| *to = from);
    (header, checksum)
}

/// The number that a header tells and its checksum, if it is one.
fn number_in(found: Header) -> Option<(i64, u32)> {
    let number = i64::from_le_bytes(found.get(8..16)?.try_into().ok()?);
    let (header, checksum) = header(number);
    (found == header).then_some((number, checksum))
}

/// The checksum over an entry and all before it.
fn check(before: u32, entry: &[u8]) -> u32 {
    let mut sum = crc32fast::Hasher::new_with_initial(before);
    sum.update(entry);
    sum.finalize()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entries(journal: &Journal) -> Vec<Vec<u8>> {
        let mut entries = Vec::new();
        let each = |entry: &[u8]| {
            entries.push(entry.to_vec());
            Ok(())
        };
        journal.after(0, each).unwrap();
        entries
    }

    #[test]
    fn what_was_forgotten_does_not_come_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let mut journal = Journal::open(&path, 0).unwrap();
        let said = |text: &str| text.as_bytes().to_vec();
        journal
            .append(&[said("one"), said("two"), said("three")])
            .unwrap();
        journal.clear().unwrap();
        drop(journal);
        let mut journal = Journal::open(&path, 3).unwrap();
        assert!(journal.is_empty() && entries(&journal).is_empty());
        // As long as the first, so that the second follows it in the file again.
        journal.append(&[said("ONE")]).unwrap();
        drop(journal);
        let again = Journal::open(&path, 3).unwrap();
        assert_eq!(
            (entries(&again), again.number()),
            (vec![said("ONE")], 4),
            "the second and the third are in the file still"
        );
    }

    #[test]
    fn a_file_that_is_no_journal_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        std::fs::write(&path, "SQLite format 3\0 and more of the kind").unwrap();
        let why = Journal::open(&path, 0).err().unwrap().to_string();
        assert!(why.contains("not of this version"), "{why}");
    }

    #[test]
    fn a_first_start_that_ended_early_is_made_up_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        for begun in [&[][..], &MAGIC[..5], &[0; 100][..]] {
            std::fs::write(&path, begun).unwrap();
            let mut journal = Journal::open(&path, 0).unwrap();
            journal.append(&[b"one".to_vec()]).unwrap();
            drop(journal);
            assert_eq!(entries(&Journal::open(&path, 0).unwrap()).len(), 1);
        }
    }

    #[test]
    fn what_belongs_to_another_time_of_the_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let mut journal = Journal::open(&path, 0).unwrap();
        journal.append(&[b"one".to_vec(), b"two".to_vec()]).unwrap();
        journal.clear().unwrap();
        drop(journal);
        let refused = |contained| Journal::open(&path, contained).err().unwrap().to_string();
        assert!(refused(1).contains("is newer"), "{}", refused(1));
        assert!(refused(3).contains("is older"), "{}", refused(3));
        assert!(Journal::open(&path, 2).is_ok());
    }

    #[test]
    fn entries_that_are_gone_are_missed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let mut journal = Journal::open(&path, 0).unwrap();
        journal.append(&[b"one".to_vec(), b"two".to_vec()]).unwrap();
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        file.write_all_at(b"T", HEADER + FRAME + 3 + FRAME).unwrap();
        let why = journal.after(0, |_| Ok(())).unwrap_err().to_string();
        assert!(
            why.contains("ends with entry 1, and 2 were written"),
            "{why}"
        );
    }

    proptest! {
        /// Bytes that were not synced may reach the disk or not, and torn.
        #[test]
        fn a_power_cut_leaves_what_was_durable_and_nothing_half_done(
            groups in prop::collection::vec(prop::collection::vec(prop::collection::vec(any::<u8>(), 1..300), 1..4), 1..6),
            last in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..300), 1..4),
            torn in prop::collection::vec((0.0..1.0_f64, any::<u8>()), 0..5),
            cut in prop::option::of(0.0..1.0_f64),
        ) {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("journal");
            let mut journal = Journal::open(&path, 0).unwrap();
            for group in &groups {
                journal.append(group).unwrap();
            }
            let durable = journal.end;
            journal.append(&last).unwrap();
            let written = journal.end;
            drop(journal);
            #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, clippy::cast_sign_loss)]
            let within = |share: f64| durable + ((written - durable) as f64 * share) as u64;
            let file = OpenOptions::new().write(true).open(&path).unwrap();
            for (share, byte) in torn {
                file.write_all_at(&[byte], within(share)).unwrap();
            }
            if let Some(share) = cut {
                file.set_len(within(share)).unwrap();
            }
            let mut again = Journal::open(&path, 0).unwrap();
            let found = entries(&again);
            let all: Vec<_> = groups.iter().flatten().chain(&last).cloned().collect();
            let answered = groups.iter().flatten().count();
            prop_assert!(found.len() >= answered);
            prop_assert_eq!(&found[..], &all[..found.len()]);
            again.append(&[vec![7; 10]]).unwrap();
            drop(again);
            let after = entries(&Journal::open(&path, 0).unwrap());
            prop_assert_eq!(&after[..found.len()], &found[..]);
            prop_assert_eq!(after.get(found.len()), Some(&vec![7; 10]));
            prop_assert_eq!(after.len(), found.len() + 1);
        }
    }
}
