//! Files read to their end, one after another, standard input among them.
//!
//! Knows that a name which ends in `.gz` is decompressed. One file that cannot be read does not hold
//! up the others.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, IsTerminal, Read, Seek, SeekFrom};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::entry::FileId;
use crate::input::cancel::CancellableInput;
use crate::input::file_names;
use crate::input::gzip::MultiGzReader;
use crate::input::open_file::{OpenFile, StartAt};
use crate::input::pipe::{self, Pipe};
use crate::input::rotation::copytruncate::{CopyDetector, CopyOf};
use crate::input::rotation::resume;
use crate::input::{SourceOptions, glob};
use crate::report::messages::Message;
use crate::storage::file_identity::DevInode;
use crate::sync::blocking_write::PollableWrite;
use crate::sync::shutdown::Phase;

/// The name of standard input.
pub const STDIN: &str = "-";

/// How long a named pipe holds up the files behind it before anybody has written into it.
const FIFO_WAIT: Duration = Duration::from_millis(250);

/// Reads files to their end.
pub struct FileReader {
    setting: SourceOptions,
    collar: CancellableInput,
    next: FileId,
    unreadable: u64,
    /// What was read by name or as the predecessor of a name: not read again as another name's.
    places: HashSet<DevInode>,
    /// Files that are read to their end for good, unless they bear a name that is read too.
    finished: HashMap<DevInode, (FileId, u64)>,
    /// What was read of each name, where a checkpoint says that it is not read again.
    copies: CopyDetector,
    /// Named pipes that nobody has written into yet.
    waiting: Vec<(PathBuf, File)>,
    tee: Option<Box<dyn PollableWrite>>,
    hung_up: Option<Arc<HungUp>>,
}

/// What is done when the writer of standard input is gone, though what it left cannot be read yet.
type HungUp = dyn Fn() + Send + Sync;

/// How reading a file ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ReadEnd {
    Whole,
    /// A stop was asked for before its end.
    Interrupted,
}

impl FileReader {
    /// A reader that has read nothing. Pipes among the files are read until the leash is pulled.
    pub fn new(setting: SourceOptions, collar: CancellableInput) -> Self {
        Self {
            setting,
            collar,
            next: 0,
            unreadable: 0,
            places: HashSet::new(),
            finished: HashMap::new(),
            copies: CopyDetector::default(),
            waiting: Vec::new(),
            tee: None,
            hung_up: None,
        }
    }

    /// Runs `tell`, now and then, while there is no room for what is read from standard input, all
    /// that is left to be read, and its writer is gone.
    #[must_use]
    pub fn on_hang_up(self, tell: impl Fn() + Send + Sync + 'static) -> Self {
        Self {
            hung_up: Some(Arc::new(tell)),
            ..self
        }
    }

    /// Copies what is read to `tee` as well, unchanged (of a `.gz` what is inside).
    #[must_use]
    pub fn with_tee(self, tee: Option<Box<dyn PollableWrite>>) -> Self {
        Self { tee, ..self }
    }

    /// Reads what the names stand for, in order. Gives how many could not be read, or not to their
    /// end.
    pub fn read(mut self, given: &[PathBuf]) -> u64 {
        let mut rest = given;
        while let Some((name, more)) = rest.split_first() {
            rest = more;
            let begin = self.begin(name);
            let end = if name.as_os_str() == STDIN {
                self.stdin(rest.is_empty());
                ReadEnd::Whole
            } else if glob::is_pattern(name) {
                self.pattern(name, begin)
            } else {
                self.name(name, begin)
            };
            if end == ReadEnd::Interrupted {
                break;
            }
        }
        self.waiting();
        if let Some(checkpoint) = &self.setting.checkpoint {
            checkpoint.forget_gone();
            for (id, end) in self.finished.values() {
                checkpoint.finished(*id, *end);
            }
        }
        self.unreadable
    }

    /// Where a file begins that no checkpoint knows. If an earlier run looked for it, it is new.
    fn begin(&self, name: &Path) -> StartAt {
        match &self.setting.checkpoint {
            Some(checkpoint) if checkpoint.watch(name) => StartAt::Start,
            _ => self.setting.begin,
        }
    }

    fn pattern(&mut self, pattern: &Path, begin: StartAt) -> ReadEnd {
        let mut paths = glob::matches(pattern);
        let mut orphaned = Vec::new();
        if let Some(checkpoint) = &self.setting.checkpoint {
            paths.retain(|path| !checkpoint.owns(path));
            orphaned = glob::orphaned(pattern, checkpoint.former_paths());
        }
        if paths.is_empty() {
            self.failed(pattern, "no file matches");
        }
        // What an earlier run read and what was rotated away since: its last lines lie beside it.
        for path in orphaned {
            if self.generations(&path, None, begin) == ReadEnd::Interrupted {
                return ReadEnd::Interrupted;
            }
        }
        file_names::oldest_first(&mut paths);
        let all = paths.iter().map(|path| self.name(path, begin));
        all.into_iter()
            .find(|end| *end == ReadEnd::Interrupted)
            .unwrap_or(ReadEnd::Whole)
    }

    /// Reads what bears a name, and what bore it when an earlier run was settled.
    fn name(&mut self, name: &Path, begin: StartAt) -> ReadEnd {
        let current = match OpenFile::open(name) {
            Ok(file) => Some(self.kin(name, file)),
            Err(error) => {
                self.failed(name, &error.to_string());
                None
            }
        };
        match current {
            // A named pipe, a terminal or a directory: nothing to come back to.
            Some(pipe) if !pipe.meta.is_file() || pipe.is_made_up() => {
                let waits = pipe.meta.file_type().is_fifo() && {
                    let until = Instant::now() + FIFO_WAIT;
                    self.collar.wait_any(&[&pipe.file], Some(until)).is_none()
                };
                if waits {
                    self.waiting.push((name.to_owned(), pipe.file));
                    return ReadEnd::Whole;
                }
                self.pipe(name, &pipe.file)
            }
            current => self.generations(name, current, begin),
        }
    }

    fn pipe(&mut self, name: &Path, input: &File) -> ReadEnd {
        let (lines, gatherer) = (self.setting.lines(), self.setting.gatherer(name, None));
        let Self {
            setting,
            collar,
            tee,
            ..
        } = self;
        let pipe = Pipe::new(input, lines, gatherer, &setting.intake, tee);
        let read = pipe.read_to_end(collar);
        self.ended(name, read.map(|()| ReadEnd::Whole))
    }

    /// Reads the pipes that nobody wrote into when it was their turn, whichever is written into
    /// first. If a stop is asked for, there is nothing in them to be read.
    fn waiting(&mut self) {
        while !self.waiting.is_empty() && !self.setting.is_over() {
            let inputs: Vec<&File> = self.waiting.iter().map(|(_, file)| file).collect();
            let Some(at) = self.collar.wait_any(&inputs, None) else {
                return;
            };
            let (name, file) = self.waiting.remove(at);
            self.pipe(&name, &file);
        }
    }

    /// Reads what is left of the files that bore a name, and the one that bears it now.
    fn generations(&mut self, name: &Path, current: Option<OpenFile>, begin: StartAt) -> ReadEnd {
        let place = current.as_ref().map(OpenFile::place);
        if let Some(known) = place.filter(|place| self.is_read(place)) {
            self.finished.remove(&known);
            return ReadEnd::Whole;
        }
        let SourceOptions {
            checkpoint,
            reporter,
            ..
        } = &self.setting;
        let found = resume::at_start(name, current, checkpoint.as_deref(), begin, *reporter);
        self.unreadable += u64::from(found.lost);
        for file in found.files {
            let is_current = place == Some(file.place());
            if self.is_read(&file.place()) {
                continue;
            }
            let result = self.regular(name, file, is_current);
            if self.ended(name, result) == ReadEnd::Interrupted {
                return ReadEnd::Interrupted;
            }
        }
        ReadEnd::Whole
    }

    /// Whether a file was read already, as the predecessor of another name. Without a checkpoint
    /// nothing is: a name given twice is read twice, as by `cat`.
    fn is_read(&self, place: &DevInode) -> bool {
        self.setting.checkpoint.is_some() && self.places.contains(place)
    }

    /// A file that is to be read: of a copy, behind what was read where it came from. Without a
    /// checkpoint a copy is read like any other.
    fn kin(&self, name: &Path, mut file: OpenFile) -> OpenFile {
        file.offset = match self.copies.kin(name, &file) {
            CopyOf::Nothing => 0,
            CopyOf::ReadUpTo(offset) => offset,
            CopyOf::OpenFile => file.meta.len(),
        };
        file
    }

    fn regular(&mut self, name: &Path, opened: OpenFile, is_current: bool) -> io::Result<ReadEnd> {
        let id = self.next;
        self.next += 1;
        let mut state = opened.state(name);
        let (place, signature) = (state.place, state.signature);
        self.places.insert(place);
        let OpenFile {
            mut file, offset, ..
        } = opened;
        let register = |state| {
            if let Some(checkpoint) = &self.setting.checkpoint {
                checkpoint.register(id, state);
            }
        };
        let keep_rest = is_current && self.setting.checkpoint.is_some();
        let end = if file_names::is_gzip(name) {
            let mut inside = MultiGzReader::new(file);
            state.unread = true;
            state.offset = io::copy(&mut (&mut inside).take(offset), &mut io::sink())?;
            let offset = state.offset;
            register(state);
            self.run(name, Some(id), &mut inside, offset, keep_rest)?
        } else {
            register(state);
            file.seek(SeekFrom::Start(offset))?;
            self.run(name, Some(id), &mut file, offset, keep_rest)?
        };
        match end {
            Some(end) if !is_current => {
                self.finished.insert(place, (id, end));
            }
            Some(end) if keep_rest && !file_names::is_gzip(name) => {
                self.copies.read(name, signature, end);
            }
            _ => {}
        }
        Ok(end.map_or(ReadEnd::Interrupted, |_| ReadEnd::Whole))
    }

    /// Reads `input` from `offset` on to its end, and gives that, or None if a stop was asked for
    /// before it. With `keep_rest` an unterminated last line is left for the next run.
    fn run(
        &mut self,
        name: &Path,
        id: Option<FileId>,
        input: &mut impl Read,
        offset: u64,
        keep_rest: bool,
    ) -> io::Result<Option<u64>> {
        let Self { setting, tee, .. } = self;
        let mut gatherer = setting.gatherer(name, id);
        let mut lines = setting.lines();
        lines.go_on(offset, false);
        loop {
            let view = setting.stop.state();
            // The last words of a pipe are still read; a file stays where it is.
            let stopped = id.is_some() && view.phase > Phase::Running;
            if stopped || setting.is_over() {
                gatherer.end();
                gatherer.hand_in(&setting.intake, 0);
                return Ok(None);
            }
            let read = lines.read(input);
            let bytes = *read.as_ref().unwrap_or(&0);
            tee.take_if(|out| !pipe::copy(lines.fresh(), &mut **out, setting.reporter));
            let now = Instant::now();
            while let Some(piece) = lines.next_piece() {
                gatherer.line(piece, now);
                if gatherer.is_full() {
                    gatherer.hand_in(&setting.intake, 0);
                }
            }
            if bytes == 0 {
                if let Some(piece) = lines.rest().filter(|_| !keep_rest) {
                    gatherer.line(piece, now);
                }
                gatherer.end();
            }
            gatherer.hand_in(&setting.intake, bytes);
            if bytes == 0 {
                if let Some(id) = id {
                    setting.sized(id, lines.end());
                }
                return read.map(|_| Some(lines.offset()));
            }
        }
    }

    fn stdin(&mut self, is_last: bool) {
        let Self {
            setting,
            collar,
            tee,
            hung_up,
            ..
        } = self;
        if io::stdin().is_terminal() {
            setting.reporter.say(&Message::Terminal);
        }
        let gatherer = setting.gatherer(Path::new(STDIN), None);
        let lines = setting.lines();
        let intake = match hung_up.clone().filter(|_| is_last) {
            None => setting.intake.clone(),
            Some(tell) => setting.intake.while_stuck(move || {
                if pipe::is_hung_up(&io::stdin()) {
                    tell();
                }
            }),
        };
        let pipe = Pipe::new(io::stdin(), lines, gatherer, &intake, tee);
        let read = pipe.read_to_end(collar);
        if let Err(error) = read {
            self.failed(Path::new("standard input"), &error.to_string());
        }
    }

    fn ended(&mut self, name: &Path, result: io::Result<ReadEnd>) -> ReadEnd {
        match result {
            // What a checkpoint covers, the next run reads.
            Ok(ReadEnd::Interrupted) if self.setting.checkpoint.is_none() => {
                self.unreadable += 1;
                let what = &*name.to_string_lossy();
                self.setting.reporter.say(&Message::Interrupted { what });
                ReadEnd::Interrupted
            }
            Ok(end) => end,
            Err(error) => {
                self.failed(name, &error.to_string());
                ReadEnd::Whole
            }
        }
    }

    fn failed(&mut self, name: &Path, why: &str) {
        self.unreadable += 1;
        let what = &*name.to_string_lossy();
        self.setting
            .reporter
            .say(&Message::Unreadable { what, why });
    }
}
