//! Inputs that are nearly right: seeds, mutated by a generator that always gives the same.

/// Marsaglia's xorshift64.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.max(1))
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below `bound`, which is not 0.
    pub fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound).expect("64 bits");
        usize::try_from(self.next() % bound).expect("it is below bound")
    }
}

/// Changes a seed in one to four places.
pub fn mutate(random: &mut Random, seed: &[u8], dictionary: &[&[u8]]) -> Vec<u8> {
    let mut input = seed.to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(input.len() + 1);
        let end = (at + random.below(8)).min(input.len());
        match random.below(5) {
            0 => {
                let word = dictionary[random.below(dictionary.len())];
                input.splice(at..at, word.iter().copied());
            }
            1 => {
                let word = dictionary[random.below(dictionary.len())];
                input.splice(at..end, word.iter().copied());
            }
            2 => {
                input.drain(at..end);
            }
            3 => {
                let part = input[at..end].to_vec();
                input.splice(at..at, part);
            }
            _ => {
                let byte = u8::try_from(random.below(256)).expect("it is below 256");
                input.splice(at..end.min(at + 1), [byte]);
            }
        }
    }
    input
}
