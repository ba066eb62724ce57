// Plain C++ for any processor: correct everywhere, fast nowhere. Four lanes, which compilers turn into vectors.
#include "path.hpp"

namespace pumice {
namespace {

struct Portable {
    static constexpr int LANES = 4, ZERO8 = 0, MOST = 4, STREAMS = 1;
    struct Ints { int32_t lane[LANES]; };
    struct Floats { float lane[LANES]; };
    struct Bytes { uint8_t byte[LANES * 4]; };

    static Floats zero() { return spread(0); }
    static Ints broadcast(int32_t value) { return {{value, value, value, value}}; }
    static Floats spread(float value) { return {{value, value, value, value}}; }

    static Bytes load(const uint8_t* from) {
        Bytes bytes;
        std::memcpy(bytes.byte, from, sizeof bytes.byte);
        return bytes;
    }
    static Floats load(const float* from) {
        Floats floats;
        std::memcpy(floats.lane, from, sizeof floats.lane);
        return floats;
    }
    static Floats widen(const uint16_t* from) {
        Floats floats;
        for (int lane = 0; lane < LANES; ++lane) floats.lane[lane] = from_bf16(from[lane]);
        return floats;
    }
    static Floats widen(const int8_t* from) {
        Floats floats;
        for (int lane = 0; lane < LANES; ++lane) floats.lane[lane] = float(from[lane]);
        return floats;
    }
    static float total(Floats floats) { return (floats.lane[0] + floats.lane[1]) + (floats.lane[2] + floats.lane[3]); }
    static void totals(const Floats (&four)[4], float* to) { each_total<Portable>(four, to); }
    static Bytes repeat(const int8_t* from) {
        Bytes bytes;
        for (int lane = 0; lane < LANES; ++lane) std::memcpy(bytes.byte + 4 * lane, from, 4);
        return bytes;
    }
    static Floats halves(const uint8_t* from) {
        Floats result;
        for (int lane = 0; lane < LANES; ++lane) {
            uint16_t half;
            std::memcpy(&half, from + 2 * lane, 2);
            result.lane[lane] = from_fp16(half);
        }
        return result;
    }
    static void store(uint8_t* to, Bytes bytes) { std::memcpy(to, bytes.byte, sizeof bytes.byte); }
    static void store(float* to, Floats floats) { std::memcpy(to, floats.lane, sizeof floats.lane); }
    static void prefetch(const uint8_t*) {}

    static Bytes low_halves(Bytes both) {
        for (auto& byte : both.byte) byte &= 15;
        return both;
    }
    static Bytes high_halves(Bytes both) {
        for (auto& byte : both.byte) byte >>= 4;
        return both;
    }
    static Ints dot4(Ints sum, Bytes weights, Bytes x) {
        for (int at = 0; at < LANES * 4; ++at) sum.lane[at / 4] += int32_t(weights.byte[at]) * int8_t(x.byte[at]);
        return sum;
    }
    static Ints dot8(Ints sum, Bytes weights, Bytes x) {
        for (int at = 0; at < LANES * 4; ++at)
            sum.lane[at / 4] += (int32_t(weights.byte[at]) - 128) * int8_t(x.byte[at]);
        return sum;
    }
    static Floats to_float(Ints ints) {
        Floats result;
        for (int lane = 0; lane < LANES; ++lane) result.lane[lane] = float(ints.lane[lane]);
        return result;
    }
    static Floats multiply(Floats a, Floats b) {
        for (int lane = 0; lane < LANES; ++lane) a.lane[lane] *= b.lane[lane];
        return a;
    }
    static Floats add_product(Floats sum, Floats a, Floats b) {
        for (int lane = 0; lane < LANES; ++lane) sum.lane[lane] += a.lane[lane] * b.lane[lane];
        return sum;
    }
};

bool anywhere() { return true; }

}  // namespace

extern const Kernels PORTABLE = kernels_of<Portable>("portable", anywhere);

}  // namespace pumice
