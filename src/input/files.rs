//! Reads files to their end, one after another, including standard input.
//!
//! Gzipped files are decompressed. A file that cannot be read does not prevent reading the others.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, IsTerminal, Seek};
use std::os::fd::AsFd;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::entry::{FileId, TimestampState};
use crate::input::cancel::CancellableInput;
use crate::input::compression::{self, Format};
use crate::input::encoding::Encoding;
use crate::input::line_splitter::LineSplitter;
use crate::input::open_file::{FileTimes, OpenFile, RangeReader, StartAt};
use crate::input::pipe::{self, Pipe};
use crate::input::rotation::history::{History, Identity};
use crate::input::rotation::resume::{Question, earlier_files};
use crate::input::time_check::{self, ReadAhead, Verdict};
use crate::input::{SourceOptions, file_names, glob};
use crate::parse::timestamp::InputKind;
use crate::process::clock;
use crate::process::line_processor::LineProcessor;
use crate::process::line_time::LineTimes;
use crate::report::messages::Message;
use crate::storage::checkpoint::key;
use crate::storage::file_identity::{Content, DevInode};
use crate::sync::blocking_write::PollableWrite;
use crate::sync::shutdown::Phase;

/// The name of standard input.
pub const STDIN: &str = "-";

/// Why a file is not read whose lines would make others of it.
const WRITTEN_HERE: &str = "loki-push writes this file itself";

/// Maximum number of bytes of a line that a message shows.
const SHOWN: usize = 160;

/// How long a named pipe without a writer delays the files after it.
const FIFO_WAIT: Duration = Duration::from_millis(250);

/// The time between two fingerprints of a file that is read.
const FINGERPRINTS: Duration = Duration::from_secs(1);

/// Reads files to their end.
pub struct FileReader {
    options: SourceOptions,
    input: CancellableInput,
    /// All known files, if there is a checkpoint. Without one, a file that is named twice is read twice,
    /// as by `cat`.
    history: Option<History>,
    /// The files that were read in this run.
    read: HashSet<FileId>,
    unreadable: u64,
    /// Named pipes that no process has open for writing.
    idle_fifos: Vec<IdleFifo>,
    /// How long the next writer of a named pipe is waited for; `None` is for ever.
    next_writer: Option<Duration>,
    tee: Option<Box<dyn PollableWrite>>,
    hung_up: Option<Arc<HungUp>>,
}

/// Called when the writer of standard input has gone, but its data cannot be read yet.
type HungUp = dyn Fn() + Send + Sync;

/// A named pipe that no process has open for writing.
struct IdleFifo {
    path: PathBuf,
    file: Arc<File>,
    /// Until when the next writer is waited for. The first one is waited for without limit.
    until: Option<Instant>,
}

/// How reading a file ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ReadEnd {
    Whole,
    /// A stop was requested before its end.
    Interrupted,
}

impl FileReader {
    /// Creates a reader. Pipes among the files are read until `input` is cancelled.
    pub fn new(options: SourceOptions, input: CancellableInput) -> Self {
        let checkpoint = options.checkpoint.clone();
        Self {
            history: checkpoint.map(|checkpoint| History::new(Some(checkpoint))),
            options,
            input,
            read: HashSet::new(),
            unreadable: 0,
            idle_fifos: Vec::new(),
            next_writer: Some(Duration::ZERO),
            tee: None,
            hung_up: None,
        }
    }

    /// Calls `tell` repeatedly while only standard input is left, its writer has gone, and the buffer is
    /// full.
    #[must_use]
    pub fn on_hang_up(self, tell: impl Fn() + Send + Sync + 'static) -> Self {
        Self {
            hung_up: Some(Arc::new(tell)),
            ..self
        }
    }

    /// Reads a named pipe until no process has had it open for writing for this long, or for ever.
    #[must_use]
    pub fn with_next_writer(self, next_writer: Option<Duration>) -> Self {
        Self {
            next_writer,
            ..self
        }
    }

    /// Also copies the input unchanged to `tee`; of a gzipped file, the content.
    #[must_use]
    pub fn with_tee(self, tee: Option<Box<dyn PollableWrite>>) -> Self {
        Self { tee, ..self }
    }

    /// Reads the given paths and patterns in order. Returns the number of files that could not be read
    /// completely.
    pub fn read(mut self, given: &[PathBuf]) -> u64 {
        let mut rest = given;
        while let Some((path, more)) = rest.split_first() {
            rest = more;
            if self.options.excluded.contain(path) {
                continue;
            }
            let start = self.start(path);
            let end = if path.as_os_str() == STDIN {
                self.stdin(rest.is_empty());
                ReadEnd::Whole
            } else if glob::is_pattern(path) {
                self.pattern(path, start)
            } else {
                self.path(path, start, false)
            };
            if end == ReadEnd::Interrupted {
                break;
            }
        }
        self.read_idle_fifos();
        if let Some(history) = &mut self.history {
            history.forget_gone();
        }
        self.unreadable
    }

    /// Where to start in an unknown file. If an earlier run looked for it, the file is new.
    fn start(&self, path: &Path) -> StartAt {
        match &self.options.checkpoint {
            Some(checkpoint) if checkpoint.watch(path) => StartAt::Start,
            _ => self.options.begin,
        }
    }

    fn pattern(&mut self, pattern: &Path, start: StartAt) -> ReadEnd {
        let mut paths = glob::matches(pattern);
        paths.retain(|path| !self.is_own(path) && !self.options.excluded.contain(path));
        if paths.is_empty() {
            match glob::unreadable_folder(pattern) {
                Some(why) => self.failed(pattern, &format!("no file matches ({why})")),
                None => self.failed(pattern, "no file matches"),
            }
        }
        if let Some(history) = &mut self.history {
            for path in &paths {
                if let Ok(meta) = std::fs::metadata(path) {
                    history.saw(DevInode::from(&meta), path);
                }
            }
            // Files that an earlier run read, and that were rotated since.
            for path in glob::orphaned(pattern, history.closed_paths()) {
                if self.files_of(&path, None, start) == ReadEnd::Interrupted {
                    return ReadEnd::Interrupted;
                }
            }
        }
        file_names::oldest_first(&mut paths);
        for path in paths {
            if self.path(&path, start, true) == ReadEnd::Interrupted {
                return ReadEnd::Interrupted;
            }
        }
        ReadEnd::Whole
    }

    /// Whether this process writes the file at a path.
    fn is_own(&self, path: &Path) -> bool {
        let checkpoint = self.options.checkpoint.as_ref();
        checkpoint.is_some_and(|checkpoint| checkpoint.owns(path))
            || self.options.own.contain_at(path)
    }

    /// Reads the file at a path, and the rest of files that were at the path before.
    fn path(&mut self, path: &Path, start: StartAt, of_pattern: bool) -> ReadEnd {
        let file = match OpenFile::open(path) {
            Ok(_) if self.is_own(path) => {
                self.failed(path, WRITTEN_HERE);
                return ReadEnd::Whole;
            }
            Ok(file) => file,
            Err(error) => {
                self.failed(path, &error.to_string());
                return self.files_of(path, None, start);
            }
        };
        if file.meta.is_dir() {
            self.failed(path, glob::IS_DIRECTORY);
            return ReadEnd::Whole;
        }
        // A named pipe or a terminal cannot be resumed.
        if !file.meta.is_file() || file.is_synthetic() {
            return self.unseekable(path, &file);
        }
        if let Some(Format::Other { name, command }) = file.format() {
            if !of_pattern {
                self.failed(path, &compression::refusal(name, command, path));
            }
            return ReadEnd::Whole;
        }
        self.files_of(path, Some(file), start)
    }

    fn unseekable(&mut self, path: &Path, file: &OpenFile) -> ReadEnd {
        // A pipe without a name, such as that of `<(command)`, gets no other writer.
        let is_named = file.meta.file_type().is_fifo() && path.canonicalize().is_ok();
        if !is_named {
            return self.pipe(path, file.file());
        }
        let until = Instant::now() + FIFO_WAIT;
        if self.input.wait_any(&[file.file()], Some(until)).is_some() {
            self.fifo(path.to_owned(), file.file());
        } else {
            self.idle_fifos.push(IdleFifo {
                path: path.to_owned(),
                file: Arc::clone(file.file()),
                until: None,
            });
        }
        ReadEnd::Whole
    }

    /// Reads a named pipe until its writers have closed it, and opens it again for the next one.
    fn fifo(&mut self, path: PathBuf, file: &File) {
        self.pipe(&path, file);
        // The first handle is still open, so that nothing is lost that a writer leaves meanwhile.
        if let Ok(next) = OpenFile::open(&path)
            && next.meta.file_type().is_fifo()
        {
            let until = self.next_writer.map(|wait| Instant::now() + wait);
            let file = Arc::clone(next.file());
            self.idle_fifos.push(IdleFifo { path, file, until });
        }
    }

    fn pipe(&mut self, path: &Path, file: &File) -> ReadEnd {
        let (lines, processor) = (
            self.options.lines(),
            self.options.live(path, None, &TimestampState::default()),
        );
        let Self {
            options,
            input,
            tee,
            ..
        } = self;
        let pipe = Pipe::new(file, lines, processor, &options.intake, tee);
        let read = pipe.read_to_end(input);
        self.ended(path, read.map(|()| ReadEnd::Whole))
    }

    /// Reads the named pipes that have no writer now, as they get one.
    fn read_idle_fifos(&mut self) {
        while !self.idle_fifos.is_empty() && !self.options.is_over() {
            let until = self.idle_fifos.iter().map(|fifo| fifo.until);
            // If one is waited for without limit, so are all.
            let until =
                until.reduce(|one, other| one.zip(other).map(|(one, other)| one.max(other)));
            let inputs: Vec<&File> = self.idle_fifos.iter().map(|fifo| &*fifo.file).collect();
            let Some(at) = self.input.wait_any(&inputs, until.flatten()) else {
                return;
            };
            let fifo = self.idle_fifos.remove(at);
            self.fifo(fifo.path, &fifo.file);
        }
    }

    /// Reads the rest of files that were at a path before, and then the current one.
    fn files_of(&mut self, path: &Path, current: Option<OpenFile>, start: StartAt) -> ReadEnd {
        let Some(history) = &mut self.history else {
            let Some(mut file) = current else {
                return ReadEnd::Whole;
            };
            // Without a checkpoint, positions only show that the lines can be read again.
            let id = FileId::try_from(self.read.len()).unwrap_or(FileId::MAX);
            self.read.insert(id);
            let result = start_of(&mut file, start)
                .and_then(|offset| self.regular(path, Some(id), file, offset, true));
            return self.ended(path, result);
        };
        let key = key(path);
        let mut current = current;
        let id = match &mut current {
            None => None,
            Some(file) => match history.identify(&key, file) {
                Ok(Identity::Copy) => return ReadEnd::Whole,
                Ok(Identity::Known(id)) => Some(id),
                Ok(Identity::New(read)) => match start_of(file, start) {
                    Ok(offset) => Some(history.add(&key, file, offset.max(read))),
                    Err(error) => return self.ended(path, Err(error)),
                },
                Err(error) => return self.ended(path, Err(error)),
            },
        };
        if id.is_some_and(|id| self.read.contains(&id)) {
            return ReadEnd::Whole;
        }
        for (id, file) in self.earlier(path, &key, id, current.as_ref()) {
            if self.known(path, id, file, false) == ReadEnd::Interrupted {
                return ReadEnd::Interrupted;
            }
        }
        match id.zip(current) {
            Some((id, file)) => self.known(path, id, file, true),
            None => ReadEnd::Whole,
        }
    }

    /// The files that were at a path before `current`, oldest first. Losses with files that cannot be
    /// found are reported.
    fn earlier(
        &mut self,
        path: &Path,
        key: &Path,
        id: Option<FileId>,
        current: Option<&OpenFile>,
    ) -> Vec<(FileId, OpenFile)> {
        let Some(history) = &mut self.history else {
            return Vec::new();
        };
        let mut wanted = history.closed_of(key);
        wanted.retain(|own| Some(*own) != id);
        if wanted.is_empty() {
            return Vec::new();
        }
        let is_new = id.is_none_or(|id| !history.is_of_earlier_run(id));
        let had_path_last = wanted.last().copied().filter(|_| is_new);
        let question = Question {
            path,
            key,
            current: current.map(|file| (file.at(), FileTimes::of(&file.meta))),
            was_truncated: wanted.iter().any(|id| history.is_truncated(*id)),
            last: None,
            wanted,
        };
        let earlier = earlier_files(history, &question);
        if current.is_some() {
            for id in earlier.missing {
                let had_path_last = Some(id) == had_path_last;
                let lost = history.report_missing(id, path, had_path_last, self.options.reporter);
                self.unreadable += u64::from(lost);
            }
        }
        let files = earlier.files.into_iter();
        let files = files.map(|(id, file)| (history.number(key, id, &file), file));
        files.collect()
    }

    fn known(&mut self, path: &Path, id: FileId, file: OpenFile, is_current: bool) -> ReadEnd {
        if !self.read.insert(id) {
            return ReadEnd::Whole;
        }
        let offset = self
            .history
            .as_ref()
            .map_or(0, |history| history.offset(id));
        let result = self.regular(path, Some(id), file, offset, is_current);
        self.ended(path, result)
    }

    /// Reads a file from an offset to its end. With a checkpoint, an unterminated last line of the current
    /// file is left for the next run.
    fn regular(
        &mut self,
        path: &Path,
        id: Option<FileId>,
        mut file: OpenFile,
        offset: u64,
        is_current: bool,
    ) -> io::Result<ReadEnd> {
        let keep_rest = is_current && self.history.is_some();
        let mut times = time_check::times_of(&self.options, &path.to_string_lossy(), &file.meta);
        if offset == 0
            && let Some(unknown) = times.take()
        {
            let start = RangeReader::new(&mut file, 0, u64::MAX);
            match time_check::judge(&self.options, &unknown, start, !keep_rest)? {
                Verdict::Readable(known) => times = Some(*known),
                Verdict::Unreadable(line) => {
                    self.unreadable_times(&path.to_string_lossy(), &line);
                    return Ok(ReadEnd::Whole);
                }
            }
        } else if let Some(times) = &mut times {
            let known = self.history.as_ref().zip(id);
            let known = known.map(|(history, id)| history.timestamps(id));
            let known = known.unwrap_or_default();
            if known != TimestampState::default() {
                times.resume(&known);
            } else if !file.is_gzip() {
                *times = time_check::learn(&self.options, times, &mut file, offset)?;
            }
        }
        let mut processor = self.options.processor_with(path, id, times);
        let mut lines = self.options.lines().without_padding();
        lines.seek(offset, false, Encoding::of(&mut file));
        processor.set_offset(offset);
        let (mut at, mut fingerprinted) = (offset, None);
        let result = loop {
            // A file can be read again by the next run.
            if self.options.stop.state().phase > Phase::Running || self.options.is_over() {
                processor.end();
                processor.flush(&self.options.intake, 0);
                break Ok(ReadEnd::Interrupted);
            }
            let mut reader = RangeReader::new(&mut file, at, u64::MAX);
            let read = lines.read(&mut reader);
            at = reader.at;
            let bytes = *read.as_ref().unwrap_or(&0);
            let reporter = self.options.reporter;
            self.tee
                .take_if(|out| !pipe::copy(lines.last_read(), &mut **out, reporter));
            let now = Instant::now();
            while let Some(piece) = lines.next_piece() {
                processor.push(piece, now);
                if processor.is_full() {
                    processor.flush(&self.options.intake, 0);
                }
            }
            if bytes == 0 {
                if let Some(piece) = lines.take_remainder().filter(|_| !keep_rest) {
                    processor.push(piece, now);
                }
                processor.end();
            }
            processor.flush(&self.options.intake, bytes);
            if bytes == 0 {
                break read.map(|_| ReadEnd::Whole);
            }
            if fingerprinted.is_none_or(|taken| now >= taken + FINGERPRINTS) {
                fingerprinted = Some(now);
                self.read_to(id, &mut file, &lines, &processor);
            }
        };
        self.read_to(id, &mut file, &lines, &processor);
        result
    }

    /// Records how far a file was read.
    fn read_to(
        &mut self,
        id: Option<FileId>,
        file: &mut OpenFile,
        lines: &LineSplitter,
        processor: &LineProcessor,
    ) {
        if let (Some(history), Some(id)) = (&mut self.history, id) {
            history.read_to(id, lines.offset(), lines.end());
            history.set_timestamps(id, processor.timestamps());
            // A gzipped file would have to be decompressed twice. It is identified by its inode.
            if !file.is_gzip() {
                history.take_fingerprint(id, file);
            }
        }
    }

    /// The reader of timestamps for standard input. If that is a file, it is judged like any other.
    ///
    /// # Errors
    /// Those of reading.
    fn stdin_times(&self) -> io::Result<Option<Verdict>> {
        let name = "standard input";
        let mut file = File::from(io::stdin().as_fd().try_clone_to_owned()?);
        let meta = file.metadata()?;
        if !meta.is_file() {
            let times = LineTimes::new(&self.options.shape, InputKind::Live, clock::now(), name);
            return Ok(times.map(|times| Verdict::Readable(Box::new(times))));
        }
        let Some(unknown) = time_check::times_of(&self.options, name, &meta) else {
            return Ok(None);
        };
        let at = file.stream_position()?;
        let start = ReadAhead { file: &file, at };
        time_check::judge(&self.options, &unknown, start, true).map(Some)
    }

    /// Reports a file that is not shipped because no time can be read in it.
    fn unreadable_times(&mut self, what: &str, line: &str) {
        self.unreadable += 1;
        self.options.intake.count_unreadable_times();
        let line = &line[..line.floor_char_boundary(SHOWN)];
        self.options
            .reporter
            .say(&Message::UnreadableTimes { what, line });
    }

    fn stdin(&mut self, is_last: bool) {
        if self.options.own.contain_stdin() {
            self.failed(Path::new("standard input"), WRITTEN_HERE);
            return;
        }
        let times = match self.stdin_times() {
            Ok(None) => None,
            Ok(Some(Verdict::Readable(times))) => Some(*times),
            Ok(Some(Verdict::Unreadable(line))) => {
                self.unreadable_times("standard input", &line);
                return;
            }
            Err(error) => {
                self.failed(Path::new("standard input"), &error.to_string());
                return;
            }
        };
        let file = stdin_file();
        if let Some((name, command)) = file.as_ref().and_then(packed_at_position) {
            let why = compression::refusal(name, command, Path::new("FILE"));
            self.failed(Path::new("standard input"), &why);
            return;
        }
        let Self {
            options,
            input,
            tee,
            hung_up,
            ..
        } = self;
        if io::stdin().is_terminal() {
            options.reporter.say(&Message::Terminal);
        }
        let processor = options.processor_with(Path::new(STDIN), None, times);
        // NULs in a pipe were written by a program.
        let lines = match file {
            Some(_) => options.lines().without_padding(),
            None => options.lines(),
        };
        let intake = match hung_up.clone().filter(|_| is_last) {
            None => options.intake.clone(),
            Some(tell) => options.intake.while_stuck(move || {
                if pipe::is_hung_up(&io::stdin()) {
                    tell();
                }
            }),
        };
        let pipe = Pipe::new(io::stdin(), lines, processor, &intake, tee);
        let read = pipe.read_to_end(input);
        if let Err(error) = read {
            self.failed(Path::new("standard input"), &error.to_string());
        }
    }

    fn ended(&mut self, name: &Path, result: io::Result<ReadEnd>) -> ReadEnd {
        match result {
            // Without a checkpoint, the next run would not resume here.
            Ok(ReadEnd::Interrupted) if self.history.is_none() => {
                self.unreadable += 1;
                let what = &*name.to_string_lossy();
                self.options.reporter.say(&Message::Interrupted { what });
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
        self.options
            .reporter
            .say(&Message::Unreadable { what, why });
    }
}

/// Standard input, if it is a regular file.
fn stdin_file() -> Option<File> {
    let file = File::from(io::stdin().as_fd().try_clone_to_owned().ok()?);
    file.metadata()
        .is_ok_and(|meta| meta.is_file())
        .then_some(file)
}

/// The format of a compressed or packed file from its position on, and the command that unpacks it.
fn packed_at_position(mut file: &File) -> Option<(&'static str, &'static str)> {
    let at = file.stream_position().ok()?;
    let head = file.read_bytes(at, compression::NEEDED).ok()?;
    match compression::recognize(&head)? {
        Format::Gzip => Some(("gzip", "gzip -dc")),
        Format::Other { name, command } => Some((name, command)),
    }
}

/// The offset at which to start in an unknown file.
fn start_of(file: &mut OpenFile, start: StartAt) -> io::Result<u64> {
    match start {
        StartAt::Start => Ok(0),
        StartAt::End => file.content_len(),
    }
}
