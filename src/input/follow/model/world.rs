//! The files of a random history, and what must become of their lines.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use flate2::Compression;
use flate2::write::GzEncoder;
use tempfile::TempDir;

use super::shipper::{Passed, Shipper};
use crate::random::Random;

/// How rotated files are called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scheme {
    /// `app.log.1`
    After,
    /// `app.log-20240102`
    Date,
    /// `app-2024-01-02.log`
    DateInside,
    /// `app.1.log`
    Dot,
    /// `app-1.log`
    Dash,
    /// `app.log.old`
    Old,
}

const SCHEMES: [Scheme; 6] = [
    Scheme::After,
    Scheme::Date,
    Scheme::DateInside,
    Scheme::Dot,
    Scheme::Dash,
    Scheme::Old,
];

/// Names of other programs' files in the same folder.
const NEIGHBOURS: [&str; 5] = [
    "app-6380.log",
    "app2.log",
    "app.log.audit",
    "app_8.log",
    "app.err.log",
];

/// A file on the disk: the lines it holds, and who may still read them.
struct Inode {
    lines: Vec<usize>,
    /// Whether a running follower has had time to find it.
    was_found: bool,
    /// Why what is written to it from now on may be missing.
    excuse: Option<&'static str>,
    /// Whether it is a copy that took the place of the file.
    is_replacement: bool,
}

/// A line that was written.
struct Line {
    /// Whether it is in a file that is followed.
    is_wanted: bool,
    /// Whether a running follower has had time to see it.
    was_seen: bool,
    /// Why it may be missing.
    may_miss: Option<&'static str>,
    /// Whether its loss must be reported.
    must_be_reported: bool,
    /// Why it may come twice.
    may_repeat: Option<&'static str>,
    delivered: usize,
}

/// One history of this many is on the disk, where renaming over a file waits for its data; there a
/// new file is given the inode of a deleted one.
const DISK: u64 = 16;

/// A random history.
pub struct World {
    random: Random,
    is_shown: bool,
    dir: TempDir,
    /// In memory where possible: saving the checkpoint waits for the disk.
    state: TempDir,
    now: Instant,
    clock: SystemTime,
    scheme: Scheme,
    /// Whether a pattern is followed, not one path.
    is_pattern: bool,
    has_checkpoint: bool,
    compresses: bool,
    keeps: usize,
    banner: bool,
    day: usize,
    names: BTreeMap<PathBuf, usize>,
    inodes: Vec<Inode>,
    /// Deleted files that a running follower has open.
    unlinked: BTreeSet<usize>,
    /// A renamed file that a writer still has open.
    late: Option<(File, usize)>,
    lines: Vec<Line>,
    shipper: Option<Shipper>,
    /// Whether delivery stands still, so that what was read stays in the queue.
    is_slow: bool,
    /// Whether a file that a stopped follower had found is out of sight.
    is_anchor_gone: bool,
    /// Lines that were delivered after the checkpoint was last saved.
    unsaved: Vec<usize>,
    has_lost: bool,
    wrong: Option<String>,
}

impl World {
    /// The history of a seed.
    pub fn new(seed: u64, is_shown: bool) -> Self {
        let mut random = Random::new(seed);
        let scheme = SCHEMES[random.below(SCHEMES.len())];
        let is_pattern = random.one_in(2);
        Self {
            is_shown,
            dir: if seed.is_multiple_of(DISK) {
                tempfile::tempdir().unwrap()
            } else {
                in_memory()
            },
            state: in_memory(),
            now: Instant::now(),
            clock: SystemTime::now(),
            scheme,
            is_pattern,
            has_checkpoint: !random.one_in(3),
            compresses: random.one_in(3),
            keeps: 2 + random.below(4),
            banner: random.one_in(3),
            day: 0,
            names: BTreeMap::new(),
            inodes: Vec::new(),
            unlinked: BTreeSet::new(),
            late: None,
            lines: Vec::new(),
            shipper: None,
            is_slow: false,
            is_anchor_gone: false,
            unsaved: Vec::new(),
            has_lost: false,
            wrong: None,
            random,
        }
    }

    /// Runs it. Returns what is wrong with its outcome.
    pub fn run(mut self) -> Result<(), String> {
        self.show(&format!(
            "{:?}, pattern {}, checkpoint {}, compresses {}, keeps {}, banner {}",
            self.scheme,
            self.is_pattern,
            self.has_checkpoint,
            self.compresses,
            self.keeps,
            self.banner
        ));
        fs::create_dir(self.dir.path().join("logs")).unwrap();
        if self.random.one_in(2) {
            self.write(3);
        }
        self.start();
        for _ in 0..10 + self.random.below(40) {
            self.step();
        }
        self.hold_up(false);
        if self.shipper.is_none() {
            self.start();
        }
        self.pass(3_000);
        self.pass(3_000);
        self.stop();
        self.verdict()
    }

    fn step(&mut self) {
        match self.random.below(24) {
            0..=6 => {
                let count = 1 + self.random.below(6);
                self.write(count);
            }
            7 => self.write_neighbour(),
            8 | 9 => self.rotate_by_rename(),
            10 | 11 => self.rotate_by_copy(),
            12 => self.compress(),
            13 => self.delete(),
            14 => self.move_away(),
            15 => self.truncate(),
            16 => self.write_late(),
            17 => self.replace_by_copy(),
            18 => self.restart(),
            19 => {
                let is_held_up = self.random.one_in(2);
                self.hold_up(is_held_up);
            }
            20 => self.is_slow = self.random.one_in(2),
            21 => self.write_halves(),
            _ => {}
        }
        // Several things happen between two looks now and then.
        match self.random.below(6) {
            0 => {}
            1 => self.pass(25),
            2 => self.pass(300),
            3 => self.pass(1_600),
            4 => self.pass(6_000),
            _ => {
                let millis = self.random.below(20_000);
                self.pass(millis as u64);
            }
        }
    }

    fn show(&self, what: &str) {
        if self.is_shown {
            eprintln!("{:>8.3} {what}", self.now.elapsed().as_secs_f64().max(0.0));
        }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join("logs").join(name)
    }

    fn live(&self) -> PathBuf {
        self.at("app.log")
    }

    /// The name of the generation of this age; None before there was one on that day.
    fn rotated(&self, age: usize) -> Option<PathBuf> {
        let day = (self.day + 1).saturating_sub(age);
        let (month, day_of_month) = (1 + day / 28 % 12, 1 + day % 28);
        let name = match self.scheme {
            Scheme::After => format!("app.log.{age}"),
            Scheme::Dot => format!("app.{age}.log"),
            Scheme::Dash => format!("app-{age}.log"),
            Scheme::Old => "app.log.old".to_owned(),
            Scheme::Date | Scheme::DateInside if day == 0 => return None,
            Scheme::Date => format!("app.log-2024{month:02}{day_of_month:02}"),
            Scheme::DateInside => format!("app-2024-{month:02}-{day_of_month:02}.log"),
        };
        Some(self.at(&name))
    }

    fn is_row(&self) -> bool {
        matches!(self.scheme, Scheme::After | Scheme::Dot | Scheme::Dash)
    }

    /// Whether the name of a rotated file can be nothing else.
    fn is_sure(&self) -> bool {
        matches!(
            self.scheme,
            Scheme::After | Scheme::Date | Scheme::DateInside
        )
    }

    fn inode(&mut self, path: &Path) -> usize {
        if let Some(inode) = self.names.get(path) {
            return *inode;
        }
        self.inodes.push(Inode {
            lines: Vec::new(),
            was_found: false,
            excuse: None,
            is_replacement: false,
        });
        self.names.insert(path.to_owned(), self.inodes.len() - 1);
        self.inodes.len() - 1
    }

    /// Sets a file's time to that of the simulation.
    fn stamp(&mut self, file: &File) {
        self.clock += Duration::from_micros(10);
        file.set_modified(self.clock).unwrap();
    }

    fn text(&mut self, line: usize) -> String {
        let padding = match self.random.below(12) {
            0 => 3_000,
            1 => 500,
            _ => self.random.below(60),
        };
        format!("{line} {}\n", "x".repeat(padding))
    }

    fn append(&mut self, path: &Path, count: usize) {
        let inode = self.inode(path);
        let mut file = File::options()
            .append(true)
            .create(true)
            .open(path)
            .unwrap();
        self.append_to(&mut file, inode, count);
    }

    fn append_to(&mut self, file: &mut File, inode: usize, count: usize) {
        let mut text = String::new();
        if self.banner && file.metadata().unwrap().len() == 0 {
            text.push_str("boot ok\n");
        }
        let name = self.names.iter().find(|(_, own)| **own == inode);
        let is_neighbour =
            name.is_some_and(|(path, _)| NEIGHBOURS.iter().any(|own| path.ends_with(own)));
        let from = self.lines.len();
        for _ in 0..count {
            let line = self.lines.len();
            text.push_str(&self.text(line));
            self.lines.push(Line {
                is_wanted: self.is_pattern || !is_neighbour,
                was_seen: false,
                may_miss: self.inodes[inode].excuse,
                must_be_reported: false,
                may_repeat: None,
                delivered: 0,
            });
            self.inodes[inode].lines.push(line);
        }
        file.write_all(text.as_bytes()).unwrap();
        self.stamp(file);
        let name = self
            .names
            .iter()
            .find(|(_, own)| **own == inode)
            .map(|(path, _)| path.clone());
        self.show(&format!("write {from}..{} to {name:?}", self.lines.len()));
    }

    fn write(&mut self, count: usize) {
        let live = self.live();
        self.append(&live, count);
    }

    /// Writes a line in two parts, with a pause that is too short for them to become two entries.
    fn write_halves(&mut self) {
        let live = self.live();
        let inode = self.inode(&live);
        let line = self.lines.len();
        let text = self.text(line);
        self.lines.push(Line {
            is_wanted: true,
            was_seen: false,
            may_miss: None,
            must_be_reported: false,
            may_repeat: None,
            delivered: 0,
        });
        self.inodes[inode].lines.push(line);
        self.show(&format!("write {line} in halves"));
        for part in [&text[..text.len() / 2], &text[text.len() / 2..]] {
            let mut file = File::options()
                .append(true)
                .create(true)
                .open(&live)
                .unwrap();
            file.write_all(part.as_bytes()).unwrap();
            self.stamp(&file);
            if part.len() == text.len() / 2 {
                let pause = [25, 200, 500][self.random.below(3)];
                self.pass(pause);
            }
        }
    }

    fn write_neighbour(&mut self) {
        let name = NEIGHBOURS[self.random.below(NEIGHBOURS.len())];
        let path = self.at(name);
        self.append(&path, 2);
    }

    fn write_late(&mut self) {
        if let Some((mut file, inode)) = self.late.take() {
            self.append_to(&mut file, inode, 1);
            self.late = Some((file, inode));
        }
    }

    /// A name does not lead to its file any more.
    fn unlinked(&mut self, path: &Path) {
        let Some(inode) = self.names.remove(path) else {
            return;
        };
        if self.late.as_ref().is_some_and(|(_, own)| *own == inode) {
            self.late = None;
        }
        self.unlinked.insert(inode);
        self.excuse_unlinked(false);
    }

    /// Files without a name are read to their end by a follower that has them open; whoever comes
    /// later does not find them.
    fn excuse_unlinked(&mut self, is_over: bool) {
        for inode in self.unlinked.clone() {
            let is_open = self.inodes[inode].was_found && self.shipper.is_some() && !is_over;
            if !is_open {
                self.is_anchor_gone |= self.inodes[inode].was_found;
                self.lost(inode, "deleted");
            }
        }
    }

    /// The lines of a file are nowhere else.
    fn lost(&mut self, inode: usize, why: &'static str) {
        let elsewhere: BTreeSet<usize> = self
            .names
            .values()
            .filter(|other| **other != inode)
            .flat_map(|other| self.inodes[*other].lines.iter().copied())
            .collect();
        for line in &self.inodes[inode].lines {
            if !elsewhere.contains(line) && self.lines[*line].delivered == 0 {
                self.lines[*line].may_miss = Some(why);
                self.lines[*line].must_be_reported |=
                    why == "truncated" && self.lines[*line].was_seen && !self.has_checkpoint;
            }
        }
    }

    fn rename(&mut self, from: &Path, to: &Path) {
        self.unlinked(to);
        if let Some(inode) = self.names.remove(from) {
            self.names.insert(to.to_owned(), inode);
        }
        fs::rename(from, to).unwrap();
        self.show(&format!("rename {from:?} {to:?}"));
    }

    fn remove(&mut self, path: &Path) {
        fs::remove_file(path).unwrap();
        self.show(&format!("remove {path:?}"));
        self.unlinked(path);
    }

    /// Makes room for a new first generation.
    fn shift(&mut self) {
        if !self.is_row() {
            self.day += 1;
        }
        let oldest = match self.scheme {
            Scheme::Old => 1,
            _ if self.is_row() => self.keeps,
            _ => self.keeps + 1,
        };
        if let Some(path) = self.rotated(oldest) {
            for path in [zipped(&path), path] {
                if self.names.contains_key(&path) {
                    self.remove(&path);
                }
            }
        }
        if !self.is_row() {
            return;
        }
        for age in (1..oldest).rev() {
            let (Some(from), Some(to)) = (self.rotated(age), self.rotated(age + 1)) else {
                continue;
            };
            for (from, to) in [(zipped(&from), zipped(&to)), (from, to)] {
                if self.names.contains_key(&from) {
                    self.rename(&from, &to);
                }
            }
        }
    }

    fn first(&self) -> PathBuf {
        self.rotated(1).expect("a day has begun")
    }

    fn rotate_by_rename(&mut self) {
        let live = self.live();
        let Some(&inode) = self.names.get(&live) else {
            return;
        };
        self.shift();
        let first = self.first();
        if self.inodes[inode].is_replacement && !self.inodes[inode].was_found {
            for line in self.inodes[inode].lines.clone() {
                self.lines[line].may_repeat = Some("replaced and renamed between two looks");
            }
        }
        let writer = File::options().append(true).open(&live).unwrap();
        self.rename(&live, &first);
        if !self.inodes[inode].was_found && !self.is_sure() && !self.is_pattern {
            self.excuse(inode, "renamed unseen to a name that is not surely its");
        }
        self.excuse_rotated(inode);
        self.late = self.random.one_in(2).then_some((writer, inode));
        if !self.random.one_in(3) {
            self.write(1);
        }
    }

    /// A generation that came and went while no follower ran is only known by the one before it.
    fn excuse_rotated(&mut self, inode: usize) {
        let has_anchor = self.names.values().any(|own| self.inodes[*own].was_found);
        let is_unknown = self.is_anchor_gone || !has_anchor;
        if self.shipper.is_none() && is_unknown && !self.is_pattern {
            self.excuse(inode, "the generation before it is gone");
        }
    }

    /// What is and will be in a file may be missing.
    fn excuse(&mut self, inode: usize, why: &'static str) {
        self.inodes[inode].excuse = Some(why);
        for line in &self.inodes[inode].lines {
            if self.lines[*line].delivered == 0 {
                self.lines[*line].may_miss.get_or_insert(why);
            }
        }
    }

    fn rotate_by_copy(&mut self) {
        let live = self.live();
        let Some(&inode) = self.names.get(&live) else {
            return;
        };
        self.shift();
        let first = self.first();
        if self.names.contains_key(&first) {
            self.remove(&first);
        }
        fs::copy(&live, &first).unwrap();
        let copy = self.inode(&first);
        let lines = self.inodes[inode].lines.clone();
        self.inodes[copy].lines = lines;
        let file = File::options().append(true).open(&first).unwrap();
        self.stamp(&file);
        self.show(&format!("copy to {first:?}"));
        if self.random.one_in(3) {
            self.pass(400);
        }
        // What was written between copy and truncation is in neither.
        self.cut(inode);
        let (lines, is_sure) = (self.inodes[copy].lines.clone(), self.is_sure());
        let is_unread = lines.iter().all(|line| self.lines[*line].delivered == 0);
        for line in lines {
            let line = &mut self.lines[line];
            if !is_sure && self.is_pattern {
                line.may_repeat = Some("a copy under a name that is not surely its");
            } else if !is_sure && is_unread {
                line.may_miss = Some("copied unread to a name that is not surely its");
                line.must_be_reported |= line.was_seen && !self.has_checkpoint;
            }
        }
        self.excuse_rotated(copy);
        if self.random.one_in(2) {
            self.write(1);
        }
    }

    fn cut(&mut self, inode: usize) {
        let live = self.live();
        let file = File::options().write(true).open(&live).unwrap();
        file.set_len(0).unwrap();
        self.stamp(&file);
        self.lost(inode, "truncated");
        self.inodes[inode].lines.clear();
        self.show("truncate");
    }

    fn truncate(&mut self) {
        if let Some(&inode) = self.names.get(&self.live()) {
            self.cut(inode);
        }
    }

    fn compress(&mut self) {
        if !self.compresses {
            return;
        }
        let age = 1 + self.random.below(2);
        let Some(path) = self.rotated(age) else {
            return;
        };
        if !self.names.contains_key(&path) {
            return;
        }
        let zipped = zipped(&path);
        if self.names.contains_key(&zipped) {
            self.remove(&zipped);
        }
        let inode = self.names[&path];
        let lines = &self.inodes[inode].lines;
        let is_unread = lines.iter().all(|line| self.lines[*line].delivered == 0);
        if is_unread && !self.is_sure() {
            self.excuse(
                inode,
                "compressed unread under a name that is not surely its",
            );
        }
        let mut encoder = GzEncoder::new(File::create(&zipped).unwrap(), Compression::fast());
        encoder.write_all(&fs::read(&path).unwrap()).unwrap();
        let file = encoder.finish().unwrap();
        file.set_modified(fs::metadata(&path).unwrap().modified().unwrap())
            .unwrap();
        let copy = self.inode(&zipped);
        let lines = self.inodes[inode].lines.clone();
        self.inodes[copy].lines = lines;
        self.show(&format!("gzip {path:?}"));
        if self.random.one_in(3) {
            self.pass(400);
        }
        self.remove(&path);
    }

    fn delete(&mut self) {
        let live = self.live();
        if self.names.contains_key(&live) {
            self.remove(&live);
            if self.random.one_in(2) {
                self.write(2);
            }
        }
    }

    /// Moves the file to another folder.
    fn move_away(&mut self) {
        let live = self.live();
        let Some(&inode) = self.names.get(&live) else {
            return;
        };
        let folder = self.dir.path().join("logs/moved");
        fs::create_dir_all(&folder).unwrap();
        let to = folder.join(format!("app-{}.log", self.lines.len()));
        self.rename(&live, &to);
        if !self.is_pattern {
            // Nothing looks there.
            self.names.remove(&to);
            self.unlinked.insert(inode);
            self.excuse_unlinked(false);
        }
    }

    /// Replaces the file by its copy with a line more, as editors do.
    fn replace_by_copy(&mut self) {
        let live = self.live();
        let Some(&old) = self.names.get(&live) else {
            return;
        };
        let lines = self.inodes[old].lines.clone();
        if lines.is_empty() {
            return;
        }
        let new = self.at(".app.log.new");
        fs::copy(&live, &new).unwrap();
        let inode = self.inode(&new);
        self.inodes[inode].lines = lines;
        self.inodes[inode].is_replacement = true;
        self.append(&new, 1);
        self.rename(&new, &live);
    }

    fn restart(&mut self) {
        if !self.has_checkpoint {
            return;
        }
        if self.shipper.is_none() {
            self.start();
        } else if self.random.one_in(2) {
            self.stop();
        } else {
            self.kill();
        }
        if self.random.one_in(2) && self.shipper.is_none() {
            self.start();
        }
    }

    fn start(&mut self) {
        self.show("start");
        self.is_anchor_gone = false;
        let given = if self.is_pattern {
            self.dir.path().join("logs/**/*")
        } else {
            self.live()
        };
        let checkpoint = self.state.path().join("state");
        let checkpoint = self.has_checkpoint.then_some(&*checkpoint);
        self.shipper = Some(Shipper::start(
            &[given],
            checkpoint,
            self.is_shown,
            self.now,
        ));
        self.find_all();
    }

    fn stop(&mut self) {
        self.show("stop");
        if let Some(shipper) = self.shipper.take() {
            let (lines, has_lost) = shipper.stop(self.now);
            self.has_lost |= has_lost;
            self.delivered(lines);
        }
        self.unsaved.clear();
        self.excuse_unlinked(true);
    }

    fn kill(&mut self) {
        if self.random.one_in(2) {
            self.save();
        }
        self.show("kill");
        if let Some(shipper) = self.shipper.take() {
            self.has_lost |= shipper.has_lost();
        }
        for line in std::mem::take(&mut self.unsaved) {
            self.lines[line].may_repeat = Some("killed before the checkpoint was saved");
        }
        self.excuse_unlinked(true);
    }

    fn save(&mut self) {
        if let Some(shipper) = &self.shipper {
            shipper.save();
            self.unsaved.clear();
        }
    }

    fn hold_up(&mut self, is_held_up: bool) {
        self.show(&format!("held up: {is_held_up}"));
        if let Some(shipper) = &mut self.shipper {
            let lines = shipper.hold_up(is_held_up);
            self.delivered(lines);
        }
    }

    fn pass(&mut self, millis: u64) {
        let to = self.now + Duration::from_millis(millis);
        if let Some(shipper) = &mut self.shipper {
            let Passed { mut lines, saved } = shipper.pass(self.now, to, self.is_slow);
            self.has_lost |= shipper.has_lost();
            let unsaved = lines.split_off(saved.unwrap_or(0));
            self.delivered(lines);
            if saved.is_some() {
                self.unsaved.clear();
            }
            self.delivered(unsaved);
            if millis >= 1_500 {
                self.find_all();
            }
        }
        self.show(&format!("{millis} ms pass"));
        self.now = to;
        self.clock += Duration::from_millis(millis);
    }

    fn find_all(&mut self) {
        for inode in self.names.values() {
            self.inodes[*inode].was_found = true;
            for line in &self.inodes[*inode].lines {
                self.lines[*line].was_seen = true;
            }
        }
    }

    fn delivered(&mut self, lines: Vec<String>) {
        for text in lines {
            if text == "boot ok" {
                continue;
            }
            let number = text
                .split(' ')
                .next()
                .and_then(|number| number.parse::<usize>().ok());
            match number.filter(|number| *number < self.lines.len()) {
                Some(number) => {
                    self.show(&format!("delivered {number}"));
                    self.lines[number].delivered += 1;
                    self.unsaved.push(number);
                }
                None => {
                    self.wrong = Some(format!("unknown line {:?}", &text[..text.len().min(40)]));
                }
            }
        }
    }

    fn verdict(self) -> Result<(), String> {
        if let Some(wrong) = self.wrong {
            return Err(wrong);
        }
        for (number, line) in self.lines.iter().enumerate() {
            let is_right = match line.delivered {
                0 => {
                    !line.is_wanted
                        || line.may_miss.is_some() && (!line.must_be_reported || self.has_lost)
                }
                1 => line.is_wanted,
                _ => line.is_wanted && line.may_repeat.is_some(),
            };
            if !is_right {
                return Err(format!(
                    "line {number} came {} times ({:?}, pattern {}, checkpoint {}; may be missing: {:?})",
                    line.delivered,
                    self.scheme,
                    self.is_pattern,
                    self.has_checkpoint,
                    line.may_miss
                ));
            }
        }
        Ok(())
    }
}

/// The name of a compressed file.
fn zipped(path: &Path) -> PathBuf {
    PathBuf::from(format!("{}.gz", path.display()))
}

/// A folder in memory, where there is such a place.
fn in_memory() -> TempDir {
    tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .unwrap()
}
