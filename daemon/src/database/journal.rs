//! A second file, into which writes go one behind the other before they count: to make them durable takes one short,
//! sequential write over bytes that the file has already, where in the file itself, with its indexes, each would change pages
//! all over it.
//!
//! After a header with a number come entries, each with its length and a checksum over itself and all before it. The first
//! whose checksum is wrong was never finished, or is left of what was there before: entries end there.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::DatabaseError;

/// What such a file begins with; the last byte is the version of what is told here and of the entries.
const MAGIC: [u8; 8] = *b"patjrnl\x01";

/// The magic, the number, and the checksum of both.
type Header = [u8; 20];

/// Its bytes.
const HEADER: u64 = 20;

/// Bytes before an entry: its length and its checksum.
const FRAME: u64 = 4 + 4;

/// Bytes by which the file grows. They are written as zeros: when they are written again, the file system has nothing of its
/// own to write, and a write is on the disk in a fraction of the time.
const GROWTH: usize = 1024 * 1024;

/// Bytes that the file keeps when its entries are forgotten.
const KEPT: u64 = 8 * 1024 * 1024;

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
}

impl Journal {
    /// Opens or creates it; `contained` is the last entry that is in the file itself.
    pub fn open(path: &Path, contained: i64) -> Result<Self, DatabaseError> {
        let refuse = |why: String| Err(DatabaseError(format!("{} {why}", path.display())));
        let missing = || {
            refuse(format!(
                "is missing or older than the file it belongs to, which holds its entries up to {contained}; put both back \
                 from one backup, or move both away to begin anew"
            ))
        };
        let found = path.metadata().is_ok_and(|found| found.len() > 0);
        if !found && contained > 0 {
            return missing();
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
            end: 0,
            checksum: 0,
            unsure: true,
        };
        if !found {
            journal.clear()?;
            journal.file.sync_all()?;
            if let Some(dir) = path.parent() {
                File::open(dir)?.sync_all()?;
            }
            return Ok(journal);
        }
        let mut header = Header::default();
        let read = journal.file.read_exact_at(&mut header, 0);
        let Some(base) = read.ok().and_then(|()| number_in(header)) else {
            return refuse(
                "is damaged, or another version of this program wrote it; start that version once more, or put the file back \
                 together with the one it belongs to"
                    .to_owned(),
            );
        };
        (journal.base, journal.number) = (base, base);
        (journal.end, journal.checksum) = (HEADER, crc32fast::hash(&header));
        journal.unsure = false;
        let mut last = (journal.number, journal.end, journal.checksum);
        journal.scan(|number, entry, checksum| {
            last = (number, last.1 + FRAME + entry.len() as u64, checksum);
            Ok(())
        })?;
        (journal.number, journal.end, journal.checksum) = last;
        if journal.number < contained {
            return missing();
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
        self.grow(end)?;
        self.file.write_all_at(&bytes, self.end)?;
        self.file.sync_data()?;
        (self.end, self.checksum) = (end, checksum);
        self.number += i64::try_from(entries.len()).map_err(io::Error::other)?;
        Ok(())
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
        self.scan(|at, entry, _| {
            if at <= number {
                return Ok(());
            }
            each(entry)
                .map_err(|error| DatabaseError(format!("entry {at} of the journal: {error}")))
        })
    }

    /// Calls `each` for all entries that are whole, with their number and checksum.
    fn scan(
        &self,
        mut each: impl FnMut(i64, &[u8], u32) -> Result<(), DatabaseError>,
    ) -> Result<(), DatabaseError> {
        let mut file = BufReader::with_capacity(64 * 1024, File::open(&self.path)?);
        let mut header = Header::default();
        file.read_exact(&mut header)?;
        let mut checksum = crc32fast::hash(&header);
        let mut left = self.size.saturating_sub(HEADER);
        for number in self.base + 1.. {
            let mut frame = [[0; 4]; 2];
            if left < FRAME || file.read_exact(frame.as_flattened_mut()).is_err() {
                break;
            }
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
        if self.is_empty() && !self.unsure {
            return Ok(());
        }
        let header = header(self.number);
        self.unsure = true;
        self.grow(HEADER)?;
        self.file.write_all_at(&header, 0)?;
        if self.size > KEPT {
            self.size = GROWTH as u64;
            self.file.set_len(self.size)?;
        }
        self.file.sync_data()?;
        self.base = self.number;
        (self.end, self.checksum) = (HEADER, crc32fast::hash(&header));
        self.unsure = false;
        Ok(())
    }
}

fn header(number: i64) -> Header {
    let said = [MAGIC, number.to_le_bytes()];
    let checksum = crc32fast::hash(said.as_flattened()).to_le_bytes();
    let mut header = Header::default();
    let bytes = said.as_flattened().iter().chain(&checksum);
    header
        .iter_mut()
        .zip(bytes)
        .for_each(|(to, from)| *to = *from);
    header
}

/// The number that a header tells, if it is one.
fn number_in(found: Header) -> Option<i64> {
    let number = i64::from_le_bytes(found.get(8..16)?.try_into().ok()?);
    (found == header(number)).then_some(number)
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
        assert!(journal.is_empty());
        // As long as the first, so that the second follows it in the file again.
        journal.append(&[said("ONE")]).unwrap();
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
        assert!(why.contains("another version"), "{why}");
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
            let after = entries(&Journal::open(&path, 0).unwrap());
            prop_assert_eq!(&after[..found.len()], &found[..]);
            prop_assert_eq!(after.get(found.len()), Some(&vec![7; 10]));
            prop_assert_eq!(after.len(), found.len() + 1);
        }
    }
}
