// Tries the native library with random shapes, on every path that this processor has, and compares with float64.
//
//     check LIBRARY SEED ROUNDS
//
// All memory has exactly the size that the header asks for, so that a sanitizer sees the first byte too many.
#include <dlfcn.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "pumice_native.h"

namespace {

using Floats = std::vector<float>;

struct Library {
    void* handle;
    template <class F>
    F* find(const char* name, F*) const {
        void* found = dlsym(handle, name);
        if (!found) std::fprintf(stderr, "no %s in the library\n", name), std::exit(2);
        return reinterpret_cast<F*>(found);
    }
};

#define CALL(name) library.find(#name, &name)

Library library;
std::mt19937 chance;
int failures = 0;

int64_t pick(int64_t least, int64_t most) { return std::uniform_int_distribution<int64_t>(least, most)(chance); }

Floats noise(int64_t count, float spread) {
    std::normal_distribution<float> normal(0, spread);
    Floats values(static_cast<size_t>(count));
    for (float& value : values) value = normal(chance);
    return values;
}

void expect(bool right, const std::string& what) {
    if (right) return;
    std::fprintf(stderr, "wrong: %s\n", what.c_str());
    ++failures;
}

double from_half(uint16_t half) {
    const int exponent = half >> 10 & 31, fraction = half & 1023;
    const double size = exponent ? std::ldexp(1024 + fraction, exponent - 25) : std::ldexp(fraction, -24);
    return half & 0x8000 ? -size : size;
}

struct Matrix {
    int bits, group;
    int64_t rows, columns;
    std::vector<uint8_t> values, packed;
    std::vector<uint16_t> scales;

    double weight(int64_t row, int64_t column) const {
        const int64_t at = row * columns + column;
        const int whole = bits == 8 ? int8_t(values[size_t(at)]) : (values[size_t(at / 2)] >> (at & 1) * 4 & 15) - 8;
        return whole * from_half(scales[size_t(at / group)]);
    }
    PumiceLinear linear() const { return {packed.data(), rows, columns, bits, group}; }
};

Matrix matrix(int bits, int group, int64_t rows, int64_t columns) {
    Matrix made{bits, group, rows, columns, {}, {}, {}};
    Floats weights = noise(rows * columns, 0.05f);
    if (pick(0, 3) == 0) std::fill(weights.begin(), weights.begin() + group, 0.0f);
    made.values.resize(size_t(rows * columns * bits / 8));
    made.scales.resize(size_t(rows * columns / group));
    made.packed.resize(size_t(CALL(pumice_packed_bytes)(bits, rows, columns, group)));
    CALL(pumice_encode)(bits, weights.data(), rows, columns, group, made.values.data(), made.scales.data());
    CALL(pumice_pack)(bits, made.values.data(), made.scales.data(), rows, columns, group, made.packed.data());
    double error = 0, size = 0;
    for (int64_t row = 0; row < rows; ++row)
        for (int64_t column = 0; column < columns; ++column) {
            const double weight = weights[size_t(row * columns + column)];
            error += std::pow(made.weight(row, column) - weight, 2), size += weight * weight;
        }
    expect(error <= size * (bits == 8 ? 1e-3 : 0.05), "encoded weights are far from what they were");
    return made;
}

// A matrix that was never one of floats: encoding searches, which takes minutes where a processor is emulated.
Matrix drawn(int bits, int group, int64_t rows, int64_t columns) {
    Matrix made{bits, group, rows, columns, {}, {}, {}};
    made.values.resize(size_t(rows * columns * bits / 8));
    made.scales.resize(size_t(rows * columns / group));
    made.packed.resize(size_t(CALL(pumice_packed_bytes)(bits, rows, columns, group)));
    for (uint8_t& value : made.values) value = uint8_t(bits == 8 ? pick(-127, 127) : pick(0, 255));
    for (uint16_t& scale : made.scales) scale = uint16_t((bits == 8 ? 4 : 8) << 10 | pick(0, 1023));  // weights about 0.05
    CALL(pumice_pack)(bits, made.values.data(), made.scales.data(), rows, columns, group, made.packed.data());
    return made;
}

// Products of one shape on every path, with activations that are rounded as the library rounds them; one step of one of
// them is forgiven, for ties.
void try_linear(const std::vector<std::string>& paths) {
    const int bits = pick(0, 1) ? 8 : 4, group = int(8 * pick(1, 32));
    const int64_t rows = pick(1, 100), columns = group * pick(1, 6), positions = pick(0, 40);
    const Matrix w = matrix(bits, group, rows, columns);
    const Floats x = noise(positions * columns, 1.0f), bias = noise(rows, 1.0f);
    const float* const added = pick(0, 1) ? bias.data() : nullptr;
    const int32_t threads = int32_t(pick(1, 3));
    std::vector<Floats> outs(paths.size(), Floats(size_t(positions * rows)));
    for (size_t at = 0; at < paths.size(); ++at) {
        CALL(pumice_choose_path)(paths[at].c_str());
        CALL(pumice_set_threads)(threads);
        const int32_t code = CALL(pumice_linear)(bits, w.packed.data(), rows, columns, group, x.data(), positions, added,
                                                 outs[at].data());
        expect(code == 0, paths[at] + ": refused a shape");
    }
    Floats weights(static_cast<size_t>(rows * columns));
    for (int64_t at = 0; at < rows * columns; ++at) weights[size_t(at)] = float(w.weight(at / columns, at % columns));
    std::vector<double> rounded(static_cast<size_t>(columns));
    for (int64_t m = 0; m < positions; ++m) {
        double step = 0;
        for (int64_t g = 0; g < columns / group; ++g) {
            const float* from = x.data() + m * columns + g * group;
            float largest = 0;
            for (int i = 0; i < group; ++i) largest = std::max(largest, std::fabs(from[i]));
            const double scale = largest / 127.0f;
            step = std::max(step, scale);
            for (int i = 0; i < group; ++i)
                rounded[size_t(g * group + i)] = scale > 0 ? std::nearbyint(from[i] / scale) * scale : 0;
        }
        for (int64_t n = 0; n < rows; ++n) {
            double sum = added ? added[n] : 0, largest = 0;
            for (int64_t k = 0; k < columns; ++k) {
                const double weight = weights[size_t(n * columns + k)];  // exact: few bits times a half
                sum += weight * rounded[size_t(k)];
                largest = std::max(largest, std::fabs(weight));
            }
            for (size_t at = 0; at < paths.size(); ++at) {
                const double error = std::fabs(outs[at][size_t(m * rows + n)] - sum);
                if (error <= 1.01 * step * largest + 1e-4) continue;
                std::ostringstream shape;
                shape << paths[at] << ": " << bits << " bits, group " << group << ", " << rows << " x " << columns << ", "
                      << positions << " positions: off by " << error << " at " << m << ", " << n;
                return expect(false, shape.str());
            }
        }
    }
}

// A small decoder with random weights, and memory for one text or for several.
struct Small {
    int64_t heads = 4, kv_heads = 2, size, hidden = 64, inner = 96, vocabulary = 50, layers = 2, capacity = 40;
    std::vector<Matrix> kept;
    Floats ones, cosines, sines;
    std::vector<Floats> biases;
    std::vector<PumiceLayer> layer;
    PumiceDecoder decoder;
    std::vector<std::vector<uint8_t>> memory;
    Floats sizes;  // scales of one side of one layer of one text after the other
    std::vector<void*> keys, values;
    std::vector<float*> key_scales, value_scales;
    std::vector<int64_t> capacities;

    // narrow: keys and values are int8.
    Small(int bits, int64_t head_size, int64_t texts, bool narrow) : size(head_size), ones(size_t(hidden), 1.0f) {
        kept.reserve(size_t(layers * 7 + 1));
        const auto linear = [&](int64_t outputs, int64_t inputs) {
            kept.push_back(drawn(bits, 32, outputs, inputs));
            return kept.back().linear();
        };
        biases.reserve(size_t(layers * 3));
        const bool biased = pick(0, 1) == 1;
        const auto bias = [&](int64_t outputs) -> const float* {
            if (!biased) return nullptr;
            biases.push_back(noise(outputs, 0.05f));
            return biases.back().data();
        };
        for (int64_t at = 0; at < layers; ++at) {
            PumiceLayer made{ones.data(), ones.data(), {}, {}, {}, {}, {}, {}, {}, {}, {}, {}};
            made.query = linear(heads * size, hidden), made.key = linear(kv_heads * size, hidden);
            made.value = linear(kv_heads * size, hidden), made.output = linear(hidden, heads * size);
            made.gate = linear(inner, hidden), made.up = linear(inner, hidden), made.down = linear(hidden, inner);
            made.query_bias = bias(heads * size);
            made.key_bias = bias(kv_heads * size), made.value_bias = bias(kv_heads * size);
            layer.push_back(made);
        }
        for (int64_t at = 0; at < capacity * size / 2; ++at)
            cosines.push_back(std::cos(0.1f * float(at))), sines.push_back(std::sin(0.1f * float(at)));
        const PumiceLinear head = linear(vocabulary, hidden);
        decoder = {heads, kv_heads, size, layers, 1e-5f, layer.data(), ones.data(), head, cosines.data(), sines.data(), capacity};
        const int64_t slots = kv_heads * capacity;
        memory.assign(size_t(2 * layers * texts), std::vector<uint8_t>(size_t(slots * size * (narrow ? 1 : 2))));
        if (narrow) sizes.assign(size_t(2 * layers * texts * slots), 0.0f);
        for (int64_t at = 0; narrow && at < layers * texts; ++at) {
            key_scales.push_back(sizes.data() + 2 * at * slots);
            value_scales.push_back(sizes.data() + (2 * at + 1) * slots);
        }
        for (int64_t at = 0; at < layers * texts; ++at)
            keys.push_back(memory[size_t(2 * at)].data()), values.push_back(memory[size_t(2 * at + 1)].data());
        capacities.assign(size_t(texts), capacity);
    }

    int32_t run(Floats x, const std::vector<int64_t>& positions, int64_t answered, Floats& logits) const {
        logits.assign(size_t(answered * vocabulary), 0.0f);
        const PumiceStep step{int64_t(positions.size()), int64_t(capacities.size()), capacities.data(), positions.data(),
                              x.data(), keys.data(), values.data(),
                              key_scales.empty() ? nullptr : key_scales.data(),
                              value_scales.empty() ? nullptr : value_scales.data(), answered, logits.data()};
        return CALL(pumice_decode)(&decoder, &step);
    }
};

// Logits of two steps of several texts.
Floats decode(int bits, int64_t texts, unsigned seed, bool narrow) {
    chance.seed(seed);
    const Small small(bits, 16, texts, narrow);
    Floats all, logits;
    for (int64_t position = 0; position < 2; ++position) {
        const std::vector<int64_t> positions(size_t(texts), position);
        expect(small.run(noise(texts * small.hidden, 1.0f), positions, texts, logits) == 0, "refused a decoder");
        all.insert(all.end(), logits.begin(), logits.end());
    }
    return all;
}

double distance(const Floats& found, const Floats& expected) {
    double error = 0, size = 0;
    for (size_t at = 0; at < found.size(); ++at)
        error += std::pow(found[at] - expected[at], 2), size += expected[at] * expected[at];
    return error / size;
}

// One text, read at once, in two pieces, and position by position.
void read_text(const std::string& path, unsigned seed, bool narrow) {
    const int64_t length = pick(14, 38), head_size = std::vector<int64_t>{8, 16, 24, 48}[seed % 4];
    const int bits = seed % 2 ? 8 : 4;
    const unsigned same = unsigned(pick(0, 1 << 30));
    const auto read = [&](const std::vector<int64_t>& pieces) {
        chance.seed(same);
        const Small small(bits, head_size, 1, narrow);
        const Floats x = noise(length * small.hidden, 1.0f);
        Floats logits;
        int64_t at = 0;
        for (const int64_t piece : pieces) {
            std::vector<int64_t> positions;
            for (int64_t i = at; i < at + piece; ++i) positions.push_back(i);
            const Floats some(x.begin() + at * small.hidden, x.begin() + (at + piece) * small.hidden);
            expect(small.run(some, positions, 1, logits) == 0, path + ": refused a piece of a text");
            at += piece;
        }
        return logits;
    };
    CALL(pumice_set_threads)(int32_t(1 + seed % 3));
    const Floats whole = read({length});
    expect(read({13, length - 13}) == whole || length - 13 < 12, path + ": pieces of a text are not the text");
    expect(distance(read(std::vector<int64_t>(size_t(length), 1)), whole) < 1e-3, path + ": positions are not the text");
}

void compare_decoders(const std::string& path, unsigned seed, bool narrow) {
    const int bits = seed % 2 ? 8 : 4;
    const int64_t rows = 1 + seed % 3;
    CALL(pumice_choose_path)("portable");
    const Floats expected = decode(bits, rows, seed, narrow);
    CALL(pumice_choose_path)(path.c_str());
    CALL(pumice_set_threads)(int32_t(1 + seed % 3));
    const Floats found = decode(bits, rows, seed, narrow);
    if (narrow) expect(distance(found, decode(bits, rows, seed, false)) < 1e-3, path + ": int8 keys are far from bfloat16");
    expect(distance(found, expected) <= 1e-4, path + ": a decode step is not that of the portable path");
}

void refuse() {
    const auto bytes = CALL(pumice_packed_bytes);
    expect(bytes(5, 32, 64, 32) == -1 && bytes(4, 0, 64, 32) == -1 && bytes(4, 32, 0, 32) == -1, "took bits or sizes that cannot be");
    expect(bytes(4, 32, 64, 12) == -1 && bytes(4, 32, 72, 16) == -1 && bytes(8, 32, 512, 512) == -1, "took groups that cannot be");
    expect(CALL(pumice_choose_path)("abacus") == -1, "took a path that is not there");
    Small small(4, 16, 1, true);
    Floats logits;
    expect(small.run(Floats(128), {3, 5}, 1, logits) == -1, "took positions with a hole between them");
    expect(small.run(Floats(64), {40}, 1, logits) == -1, "took a position behind the cache");
    expect(small.run(Floats(64), {-1}, 1, logits) == -1, "took a position before the text");
    small.value_scales.clear();
    expect(small.run(Floats(64), {3}, 1, logits) == -1, "took scales for keys and none for values");
}

}  // namespace

int main(int count, char** words) {
    if (count != 4) return std::fprintf(stderr, "check LIBRARY SEED ROUNDS\n"), 2;
    library.handle = dlopen(words[1], RTLD_NOW);
    if (!library.handle) return std::fprintf(stderr, "%s\n", dlerror()), 2;
    const unsigned seed = unsigned(std::atoi(words[2]));
    const int rounds = std::atoi(words[3]);
    std::istringstream named(CALL(pumice_paths)());
    std::vector<std::string> paths;
    for (std::string path; std::getline(named, path, ',');) paths.push_back(path);
    refuse();
    chance.seed(seed);
    for (int round = 0; round < rounds; ++round) {
        CALL(pumice_choose_path)(paths[size_t(round) % paths.size()].c_str());  // they encode in turn
        try_linear(paths);
    }
    for (const std::string& path : paths) {
        CALL(pumice_choose_path)(path.c_str());
        for (unsigned round = 0; round < 6; ++round) compare_decoders(path, seed + round, round % 4 < 2);
        for (unsigned round = 0; round < 4; ++round) read_text(path, seed + round, round % 3 == 0);
        std::printf("%s: %d shapes tried\n", path.c_str(), rounds);
    }
    return failures ? 1 : 0;
}
