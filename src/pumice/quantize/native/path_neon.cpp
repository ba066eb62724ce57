// NEON with the dot product instructions (Apple M1, Arm Cortex-A76, Neoverse N1 and later).
#include <arm_neon.h>

#include "cpu.hpp"
#include "path.hpp"

namespace pumice {
namespace {

struct Neon {
    static constexpr int LANES = 4, ZERO8 = 0, MOST = 1, STREAMS = 1;
    using Ints = int32x4_t;
    using Floats = float32x4_t;
    using Bytes = uint8x16_t;

    static Floats zero() { return vdupq_n_f32(0); }
    static Ints broadcast(int32_t value) { return vdupq_n_s32(value); }
    static Floats spread(float value) { return vdupq_n_f32(value); }
    static Bytes load(const uint8_t* from) { return vld1q_u8(from); }
    static Floats load(const float* from) { return vld1q_f32(from); }
    static Floats widen(const uint16_t* from) { return vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(from), 16)); }
    static Floats widen(const int8_t* from) {
        int32_t four;
        std::memcpy(&four, from, 4);
        return vcvtq_f32_s32(vmovl_s16(vget_low_s16(vmovl_s8(vreinterpret_s8_s32(vdup_n_s32(four))))));
    }
    static float total(Floats floats) { return vaddvq_f32(floats); }
    static void totals(const Floats (&four)[4], float* to) { each_total<Neon>(four, to); }
    static Bytes repeat(const int8_t* from) {
        int32_t four;
        std::memcpy(&four, from, 4);
        return vreinterpretq_u8_s32(vdupq_n_s32(four));
    }
    static Floats halves(const uint8_t* from) { return vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(from))); }
    static void store(uint8_t* to, Bytes bytes) { vst1q_u8(to, bytes); }
    static void store(float* to, Floats floats) { vst1q_f32(to, floats); }
    static void prefetch(const uint8_t* from) { __builtin_prefetch(from); }
    static Bytes low_halves(Bytes both) { return vandq_u8(both, vdupq_n_u8(15)); }
    static Bytes high_halves(Bytes both) { return vshrq_n_u8(both, 4); }
    static Ints dot4(Ints sum, Bytes weights, Bytes x) {
        return vdotq_s32(sum, vreinterpretq_s8_u8(weights), vreinterpretq_s8_u8(x));
    }
    static Ints dot8(Ints sum, Bytes weights, Bytes x) { return dot4(sum, veorq_u8(weights, vdupq_n_u8(0x80)), x); }
    static Floats to_float(Ints ints) { return vcvtq_f32_s32(ints); }
    static Floats multiply(Floats a, Floats b) { return vmulq_f32(a, b); }
    static Floats add_product(Floats sum, Floats a, Floats b) { return vfmaq_f32(sum, a, b); }
};

}  // namespace

extern const Kernels NEON = kernels_of<Neon>("neon-dotprod", cpu_has_dotprod);

}  // namespace pumice
