//! Copies standard input to standard output, line by line, numbered.
const std = @import("std");

pub fn main(init: std.process.Init) !void {
    const io = init.io;
    var read_buffer: [4096]u8 = undefined;
    var write_buffer: [4096]u8 = undefined;
    var reader = std.Io.File.stdin().reader(io, &read_buffer);
    var writer = std.Io.File.stdout().writer(io, &write_buffer);
    var number: usize = 0;
    while (try reader.interface.takeDelimiter('\n')) |line| {
        number += 1;
        try writer.interface.print("{d}: {s}\n", .{ number, line });
    }
    try writer.interface.flush();
    if (number == 0) std.process.exit(5);
}
