//! Empty substitutes for checkpoint, dead letter and spool in the library, which keeps nothing on disk.
//! They have no values, so that the real types, and the system calls they need, are not compiled.

/// No checkpoint.
pub mod checkpoint {
    use std::time::Instant;

    use crate::entry::FilePositions;

    /// See the module of this name in a build of the program.
    #[derive(Debug)]
    pub enum Checkpoint {}

    impl Checkpoint {
        /// Never called.
        pub fn settled(&self, _: &FilePositions) {
            match *self {}
        }

        /// Never called.
        pub fn save(&self) -> std::io::Result<bool> {
            match *self {}
        }

        /// Never called.
        pub fn keep(&self, _: Instant) {
            match *self {}
        }
    }
}

/// No dead letter.
pub mod dead_letter {
    use crate::entry::Entry;
    use crate::entry::labels::Labels;

    /// See the module of this name in a build of the program.
    #[derive(Debug)]
    pub enum DeadLetter {}

    impl DeadLetter {
        /// Never called.
        pub fn write(&self, _: &Labels, _: &Entry<'_>, _: &str) {
            match *self {}
        }
    }
}

/// No spool.
pub mod spool {
    use std::convert::Infallible;
    use std::io;
    use std::path::Path;

    use serde_json::Value;

    use crate::entry::request::EncodedBatch;

    /// See the module of this name in a build of the program.
    #[derive(Debug)]
    pub enum Spool {}

    /// See the module of this name in a build of the program.
    #[derive(Debug)]
    pub struct PreparedBatch(Infallible);

    /// See the module of this name in a build of the program.
    #[derive(Debug, Clone)]
    pub struct SpooledBatch {
        /// Never read.
        pub entries: usize,
        /// Never read.
        pub bytes: u64,
        /// Never read.
        pub positions: Vec<Value>,
        /// Never read.
        pub is_sending: bool,
        none: Infallible,
    }

    /// See the module of this name in a build of the program.
    #[derive(Debug)]
    pub enum ReadError {
        /// Never made.
        #[cfg_attr(not(feature = "cli"), expect(dead_code, reason = "there is no spool"))]
        Damaged(String),
        /// Never made.
        #[cfg_attr(not(feature = "cli"), expect(dead_code, reason = "there is no spool"))]
        Failed(io::Error),
    }

    impl PreparedBatch {
        /// Never called.
        pub fn bytes(&self) -> u64 {
            match self.0 {}
        }
    }

    impl SpooledBatch {
        /// Never called.
        pub fn exists(&self) -> bool {
            match self.none {}
        }
    }

    impl Spool {
        /// Never called.
        pub fn dir(&self) -> &Path {
            match *self {}
        }

        /// Never called.
        pub fn size(&self) -> u64 {
            match *self {}
        }

        /// Never called.
        pub fn used_by_others(&self) -> u64 {
            match *self {}
        }

        /// Never called.
        pub fn prepare(&self, _: &EncodedBatch, _: Vec<Value>) -> PreparedBatch {
            match *self {}
        }

        /// Never called.
        pub fn store(&self, _: PreparedBatch, _: &EncodedBatch) -> io::Result<SpooledBatch> {
            match *self {}
        }

        /// Never called.
        pub fn store_sending(&self, _: PreparedBatch, _: &EncodedBatch) -> Option<SpooledBatch> {
            match *self {}
        }

        /// Never called.
        pub fn load(&self, _: &SpooledBatch) -> Result<EncodedBatch, ReadError> {
            match *self {}
        }

        /// Never called.
        pub fn remove(&self, _: &SpooledBatch) {
            match *self {}
        }

        /// Never called.
        pub fn recover(&self) -> Vec<SpooledBatch> {
            match *self {}
        }
    }
}
