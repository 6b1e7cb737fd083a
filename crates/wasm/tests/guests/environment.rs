//! Prints its arguments and environment, or the files named after `cat`.

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.get(1).is_some_and(|first| first == "cat") {
        for path in &arguments[2..] {
            println!("{}", std::fs::read_to_string(path).expect("the file can be read"));
        }
        return;
    }
    println!("{arguments:?}");
    let mut environment: Vec<(String, String)> = std::env::vars().collect();
    environment.sort();
    println!("{environment:?}");
}
