//! What holds where nobody says otherwise, for the program and the library alike: what was measured.
//!
//! Values only.

/// The gzip level that is used when none is given, and the backend (flate2's zlib-rs), by this table
/// of a core compressing bodies of 1 MiB: MB of lines a second, and the share of them that is sent
/// (300,000 lines of `benches/whole`, a busy machine, the best of three):
///
/// ```text
/// level          1           2           3           4           5           6           9
/// zlib-rs     297 .355    193 .262    147 .247    122 .238    109 .231     92 .229     58 .236
/// miniz_oxide 177 .311     86 .270     78 .246     60 .237     55 .234     37 .230     33 .229
/// ```
///
/// At level 2 the last quarter of what level 1 leaves is gone for a third of its speed; from there
/// on each tenth costs as much again. zlib-ng was not measured: it wants cmake to build, and a C
/// compiler for each target, which would be the only such dependency but ring.
pub const GZIP_LEVEL: u8 = 2;
