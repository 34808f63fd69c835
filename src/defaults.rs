//! What holds where nobody says otherwise, for the program and the library alike: what was measured.
//!
//! Values only.

/// The gzip level that is used when none is given, and the backend (flate2's zlib-rs, told to look at
/// the processor it runs on), by this table of a core compressing bodies of 1 MiB: MB of lines a
/// second, and the share of them that is sent (300,000 lines of `benches/whole`, a busy machine, the
/// best of fifteen in turns):
///
/// ```text
/// level          1           2           3           4           5           6           9
/// zlib-rs     242 .356    132 .262    104 .247     90 .238     82 .231     69 .229     45 .236
/// zlib-ng     201 .356    133 .262    108 .247     90 .238     73 .231     59 .229     40 .236
/// miniz_oxide 152 .311     91 .270     62 .247     56 .237     47 .234     34 .230     27 .229
/// ```
///
/// At level 2 the last quarter of what level 1 leaves is gone for nearly half of its speed; from
/// there on each tenth costs as much again. zlib-ng is the same work in C: no faster, and it wants
/// cmake to build, and a C compiler for each target, which would be the only such dependency but
/// ring.
pub const GZIP_LEVEL: u8 = 2;
