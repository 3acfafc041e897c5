fn main() {
    nffi::main(prices::start)
}
