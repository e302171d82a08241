#include "models/moe/forced_routing.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/check.h"

namespace weft {
namespace {

constexpr std::array<std::string_view, 9> kNames = {"w0", "w1", "w2", "w3",  "w4",
                                                    "w5", "w6", "w7", "zipf"};
static_assert(static_cast<size_t>(Workload::kZipf) + 1 == kNames.size());

constexpr int64_t kQuarters = 4;
// Whose experts a quarter of the global batch goes to.
constexpr std::array<int64_t, kQuarters> kTargetQuarter = {0, 3, 1, 2};

bool Contains(std::span<const int32_t> places, int32_t place) {
  return std::find(places.begin(), places.end(), place) != places.end();
}

bool InBurst(int64_t step, int64_t period) { return step % period >= period - (period + 4) / 5; }

// A random order of the experts of a layer.
std::vector<int32_t> RandomOrder(int32_t experts, uint64_t seed, int32_t layer) {
  const CounterRng rng(seed, absl::StrCat("order of the experts of layer ", layer));
  std::vector<int32_t> order(static_cast<size_t>(experts));
  std::iota(order.begin(), order.end(), 0);
  for (size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[rng.Bits(i) % i]);
  return order;
}

// floor(i E / H) first, then the others.
std::vector<int32_t> SpreadOrder(int32_t experts, int64_t hot) {
  std::vector<int32_t> order;
  for (int64_t i = 0; i < hot; ++i) order.push_back(static_cast<int32_t>(i * experts / hot));
  for (int32_t e = 0; e < experts; ++e) {
    if (!Contains(std::span(order).first(static_cast<size_t>(hot)), e)) order.push_back(e);
  }
  return order;
}

}  // namespace

std::span<const std::string_view> WorkloadNames() { return kNames; }

std::string_view Name(Workload workload) { return kNames[static_cast<size_t>(workload)]; }

std::optional<Workload> WorkloadOf(std::string_view name) {
  const auto found = std::find(kNames.begin(), kNames.end(), name);
  if (found == kNames.end()) return std::nullopt;
  return static_cast<Workload>(found - kNames.begin());
}

int32_t HotExperts(const MoeSpec& moe) {
  return moe.hot_experts > 0 ? moe.hot_experts : std::max(1, moe.num_experts / 4);
}

std::string DescribeWorkload(Workload workload, const MoeSpec& moe) {
  const std::string hot = absl::StrFormat("%g%% of the choices on %d of %d experts",
                                          100 * moe.hot_share, HotExperts(moe), moe.num_experts);
  std::string what;
  switch (workload) {
    case Workload::kBalanced:
      what = "balanced";
      break;
    case Workload::kHotExperts:
      what = absl::StrCat("hot experts: ", hot);
      break;
    case Workload::kHotRank:
      what = absl::StrCat("hot rank: ", hot, ", neighbours");
      break;
    case Workload::kSpreadHotExperts:
      what = absl::StrCat("spread hot experts: ", hot, ", evenly spread");
      break;
    case Workload::kRaggedSources:
      what = "ragged sources";
      break;
    case Workload::kZeroLoadRanks:
      what = "zero-load ranks: none of the upper half of the experts gets a token";
      break;
    case Workload::kRotatingHotSpot:
      what =
          absl::StrFormat("rotating hot spot: %s, others every %d steps", hot, moe.workload_period);
      break;
    case Workload::kBurst:
      what = absl::StrFormat("burst: %s in the last %d of every %d steps", hot,
                             (moe.workload_period + 4) / 5, moe.workload_period);
      break;
    case Workload::kZipf:
      what = absl::StrFormat("Zipf with s = %g%s", moe.zipf_exponent,
                             moe.zipf_in_order ? ", in the order of the experts" : "");
      break;
  }
  const std::string_view name = Name(workload);
  return absl::StrCat(absl::string_view(name.data(), name.size()), " (", what, ")");
}

ForcedRouting::ForcedRouting(const MoeSpec& moe, int64_t length, uint64_t seed, int32_t layer)
    : moe_(moe),
      length_(length),
      hot_(HotExperts(moe)),
      random_(RandomOrder(moe.num_experts, seed, layer)),
      spread_(SpreadOrder(moe.num_experts, hot_)) {
  WEFT_CHECK(moe.top_k >= 1 && moe.top_k <= moe.num_experts && hot_ <= moe.num_experts &&
                 moe.workload_period >= 1,
             "a workload that its experts can have");
  for (const std::string_view name : kNames) {
    rng_.emplace_back(seed, absl::StrCat("routing ", absl::string_view(name.data(), name.size()),
                                         " of layer ", layer));
  }
  for (int32_t place = 0; place < moe.num_experts; ++place) {
    popularity_.push_back(std::pow(place + 1.0, -moe.zipf_exponent));
  }
}

std::optional<ForcedRouting::Turn> ForcedRouting::TurnOf(const RoutedBatch& batch,
                                                         int64_t token) const {
  const int64_t all = moe_.num_experts, k = moe_.top_k;
  Turn turn = {0, all};
  switch (batch.workload) {
    case Workload::kBalanced:
      break;
    case Workload::kRaggedSources: {
      const int64_t sequence = IndexOf(batch, token) / length_;
      const int64_t source = sequence * kQuarters / batch.global_sequences;
      const int64_t target = kTargetQuarter[static_cast<size_t>(source)];
      turn.begin = target * all / kQuarters;
      turn.count = std::max(k, (target + 1) * all / kQuarters - turn.begin);
      break;
    }
    case Workload::kZeroLoadRanks:
      turn.count = std::max(k, (all + 1) / 2);
      break;
    case Workload::kBurst:
      if (InBurst(batch.step, moe_.workload_period)) return std::nullopt;
      break;
    case Workload::kHotExperts:
    case Workload::kHotRank:
    case Workload::kSpreadHotExperts:
    case Workload::kRotatingHotSpot:
    case Workload::kZipf:
      return std::nullopt;
  }
  const CounterRng& rng = rng_[static_cast<size_t>(batch.workload)];
  turn.offset = static_cast<int64_t>(rng.Bits(static_cast<uint64_t>(batch.step)) %
                                     static_cast<uint64_t>(turn.count));
  return turn;
}

int32_t ForcedRouting::ExpertAt(const RoutedBatch& batch, int32_t place) const {
  switch (batch.workload) {
    case Workload::kZipf:
      if (moe_.zipf_in_order) return place;
      [[fallthrough]];
    case Workload::kHotExperts:
      return random_[static_cast<size_t>(place)];
    case Workload::kSpreadHotExperts:
      return spread_[static_cast<size_t>(place)];
    case Workload::kRotatingHotSpot: {
      const int64_t first = batch.step / moe_.workload_period * hot_;
      return static_cast<int32_t>((place + first) % moe_.num_experts);
    }
    default:
      return place;
  }
}

void ForcedRouting::HotOrCold(const CounterRng& rng, uint64_t draw,
                              std::span<int32_t> places) const {
  const int64_t all = moe_.num_experts;
  for (size_t i = 0; i < places.size(); ++i) {
    const std::span<const int32_t> taken = places.first(i);
    const auto hot_taken =
        std::count_if(taken.begin(), taken.end(), [this](int32_t place) { return place < hot_; });
    const int64_t hot_left = hot_ - hot_taken;
    const int64_t cold_left = all - static_cast<int64_t>(i) - hot_left;
    bool hot = rng.Uniform(draw + 2 * i) < moe_.hot_share;
    if (hot_left == 0) hot = false;
    if (cold_left == 0) hot = true;
    const int64_t begin = hot ? 0 : hot_, end = hot ? hot_ : all;
    const auto left = static_cast<uint64_t>(std::max<int64_t>(1, hot ? hot_left : cold_left));
    // The chosen-th of the places from `begin` on that are not taken.
    const auto chosen = begin + static_cast<int64_t>(rng.Bits(draw + 2 * i + 1) % left);
    int64_t place = chosen, next = chosen;
    do {
      place = next;
      next = chosen + std::count_if(taken.begin(), taken.end(),
                                    [&](int32_t t) { return t >= begin && t <= place && t < end; });
    } while (next != place);
    places[i] = static_cast<int32_t>(place);
  }
}

void ForcedRouting::ByPopularity(const CounterRng& rng, uint64_t draw,
                                 std::span<int32_t> places) const {
  double left = std::accumulate(popularity_.begin(), popularity_.end(), 0.0);
  for (size_t i = 0; i < places.size(); ++i) {
    const std::span<const int32_t> taken = places.first(i);
    double rest = rng.Uniform(draw + 2 * i) * left;
    int32_t last = 0;  // rounding may leave a rest behind the last one
    for (int32_t place = 0; place < moe_.num_experts; ++place) {
      if (Contains(taken, place)) continue;
      last = place;
      rest -= popularity_[static_cast<size_t>(place)];
      if (rest < 0) break;
    }
    places[i] = last;
    left -= popularity_[static_cast<size_t>(last)];
  }
}

void ForcedRouting::Choose(const RoutedBatch& batch, int64_t token,
                           std::span<int32_t> experts) const {
  WEFT_CHECK(std::ssize(experts) == moe_.top_k, "top_k experts a token");
  const int64_t k = moe_.top_k;
  const int64_t index = IndexOf(batch, token);
  if (const std::optional<Turn> turn = TurnOf(batch, token)) {
    for (int64_t i = 0; i < k; ++i) {
      const int64_t place = (turn->offset + index * k + i) % turn->count;
      experts[static_cast<size_t>(i)] =
          static_cast<int32_t>((turn->begin + place) % moe_.num_experts);
    }
    return;
  }
  const CounterRng& rng = rng_[static_cast<size_t>(batch.workload)];
  const int64_t over_run = batch.step * batch.global_sequences * length_ + index;
  const auto draw = static_cast<uint64_t>(2 * k * over_run);
  batch.workload == Workload::kZipf ? ByPopularity(rng, draw, experts)
                                    : HotOrCold(rng, draw, experts);
  for (int32_t& e : experts) e = ExpertAt(batch, e);
}

std::vector<int64_t> ForcedRouting::Load(const RoutedBatch& batch, int64_t sequences) const {
  std::vector<int64_t> load(static_cast<size_t>(moe_.num_experts));
  std::vector<int32_t> experts(static_cast<size_t>(moe_.top_k));
  for (int64_t token = 0; token < sequences * length_; ++token) {
    Choose(batch, token, experts);
    for (const int32_t e : experts) ++load[static_cast<size_t>(e)];
  }
  return load;
}

}  // namespace weft
