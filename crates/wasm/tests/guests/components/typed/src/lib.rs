//! Functions of many types, to be called by name.

wit_bindgen::generate!({
    inline: "
        package test:typed@1.0.0;
        interface shapes {
            record point { x: s32, y: s32 }
            variant shape { dot(point), line(list<point>), nothing }
            enum colour { red, green }
            flags style { bold, wide }
            mirror: func(shape: shape) -> shape;
            paint: func(colour: colour, style: style) -> tuple<colour, style>;
        }
        world typed {
            export shapes;
            export add: func(a: u32, b: u32) -> u32;
            export greet: func(name: string, times: option<u8>) -> string;
            export sum: func(numbers: list<f64>) -> f64;
            export divide: func(a: s64, b: s64) -> result<s64, string>;
            export silent: func();
            export fail: func();
        }
    ",
});

use exports::test::typed::shapes::{Colour, Guest as Shapes, Point, Shape, Style};

struct Typed;

export!(Typed);

impl Guest for Typed {
    fn add(a: u32, b: u32) -> u32 {
        a.wrapping_add(b)
    }

    fn greet(name: String, times: Option<u8>) -> String {
        format!("hello {name}\n").repeat(usize::from(times.unwrap_or(1)))
    }

    fn sum(numbers: Vec<f64>) -> f64 {
        numbers.iter().sum()
    }

    fn divide(a: i64, b: i64) -> Result<i64, String> {
        a.checked_div(b).ok_or_else(|| "no quotient".to_owned())
    }

    fn silent() {}

    fn fail() {
        core::arch::wasm32::unreachable()
    }
}

impl Shapes for Typed {
    fn mirror(shape: Shape) -> Shape {
        let mirror = |point: Point| Point {
            x: point.y,
            y: point.x,
        };
        match shape {
            Shape::Dot(point) => Shape::Dot(mirror(point)),
            Shape::Line(points) => Shape::Line(points.into_iter().map(mirror).collect()),
            Shape::Nothing => Shape::Nothing,
        }
    }

    fn paint(colour: Colour, style: Style) -> (Colour, Style) {
        (colour, style)
    }
}
