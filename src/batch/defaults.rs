//! What holds where nobody says otherwise, for the program and the library alike: what was measured.
//!
//! Values only.

/// The gzip level that is used when none is given, and the compressor (sirocco), by this table of a
/// core compressing bodies of 1 MiB: MB of lines a second, and the share of them that is sent
/// (100,000 lines of `benches/whole`, the best of five in turns):
///
/// ```text
/// level          1           2           3           4           5           6           9
/// sirocco     332 .264    278 .259    224 .247    167 .247    139 .231    120 .226     88 .218
/// libdeflate  262 .259    190 .252    174 .246    161 .240    139 .225    116 .217     59 .214
/// zlib-rs     374 .358    217 .263    146 .248    125 .240    114 .232    101 .230     66 .238
/// zlib-ng     352 .358    227 .263    155 .248    139 .240    109 .232     97 .230     57 .238
/// miniz_oxide 228 .313    113 .271     82 .248     77 .238     62 .235     42 .232     35 .231
/// ```
///
/// At level 2 sirocco sends less than zlib-rs does for three quarters of its time; level 1 would make
/// a whole run 3 to 8 % shorter for 2 % more bytes. It is safe Rust and takes its input in pieces.
/// libdeflate wants it whole, in as much more memory, and a C compiler, zlib-ng cmake too; Intel's
/// ISA-L is more than twice as fast, and wants nasm and the autotools.
pub const GZIP_LEVEL: u8 = 2;
