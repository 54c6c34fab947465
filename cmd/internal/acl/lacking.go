package acl

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Lacking returns those rights that the cluster would refuse to whoever client logs in as. A cluster without access control
// refuses nothing, and what a cluster does not tell counts as granted.
func Lacking(ctx context.Context, client kmsg.Requestor, rights []Right) ([]Right, error) {
	topics, err := allowedOnTopics(ctx, client, names(rights, kmsg.ACLResourceTypeTopic))
	if err != nil {
		return nil, err
	}
	groups, err := allowedOnGroups(ctx, client, names(rights, kmsg.ACLResourceTypeGroup))
	if err != nil {
		return nil, err
	}
	var lacking []Right
	for _, r := range rights {
		allowed := operations(math.MinInt32)
		switch r.Resource { //nolint:exhaustive // of the others nothing is known
		case kmsg.ACLResourceTypeTopic:
			allowed = topics[r.Name]
		case kmsg.ACLResourceTypeGroup:
			allowed = groups[r.Name]
		case kmsg.ACLResourceTypeTransactionalId:
			allowed = allowedOnID(ctx, client, r)
		}
		if !allowed.contain(r.Operation) {
			lacking = append(lacking, r)
		}
	}
	return lacking, nil
}

func names(rights []Right, resource kmsg.ACLResourceType) []string {
	var all []string
	for _, r := range rights {
		if r.Resource == resource && !r.Prefix && !slices.Contains(all, r.Name) {
			all = append(all, r.Name)
		}
	}
	return all
}

// operations is a set of operations as brokers tell it: a bit for each (KIP-430).
type operations int32

// contain tells whether an operation is allowed, or nothing is known.
func (o operations) contain(op kmsg.ACLOperation) bool {
	return o == math.MinInt32 || o&(1<<op) != 0
}

func allowedOnTopics(ctx context.Context, client kmsg.Requestor, names []string) (map[string]operations, error) {
	request := kmsg.NewPtrMetadataRequest()
	request.IncludeTopicAuthorizedOperations = true
	for _, name := range names {
		one := kmsg.NewMetadataRequestTopic()
		one.Topic = kmsg.StringPtr(name)
		request.Topics = append(request.Topics, one)
	}
	response, err := request.RequestWith(ctx, client)
	if err != nil {
		return nil, err
	}
	allowed := map[string]operations{}
	for _, t := range response.Topics {
		if t.Topic == nil {
			continue
		}
		switch {
		case t.ErrorCode == kerr.TopicAuthorizationFailed.Code:
			allowed[*t.Topic] = 0
		case t.ErrorCode != 0: // a topic that is missing is for somebody else to tell
			allowed[*t.Topic] = math.MinInt32
		default:
			allowed[*t.Topic] = operations(t.AuthorizedOperations)
		}
	}
	return allowed, nil
}

func allowedOnGroups(ctx context.Context, client kmsg.Requestor, names []string) (map[string]operations, error) {
	allowed := map[string]operations{}
	for _, name := range names {
		request := kmsg.NewPtrDescribeGroupsRequest()
		request.Groups, request.IncludeAuthorizedOperations = []string{name}, true
		response, err := request.RequestWith(ctx, client)
		if errors.Is(err, kerr.GroupAuthorizationFailed) { // it may not even know the group's coordinator
			allowed[name] = 0
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("group %s: %w", name, err)
		}
		for _, g := range response.Groups {
			switch err := kerr.ErrorForCode(g.ErrorCode); {
			case g.ErrorCode == kerr.GroupAuthorizationFailed.Code:
				allowed[name] = 0
			case g.ErrorCode == kerr.GroupIDNotFound.Code: // nobody has used it yet
				allowed[name] = math.MinInt32
			case err != nil:
				return nil, fmt.Errorf("group %s: %w", name, err)
			default:
				allowed[name] = operations(g.AuthorizedOperations)
			}
		}
	}
	return allowed, nil
}

// allowedOnID asks about a transactional id that nobody uses: who may write one may describe it, and is told that it does
// not exist.
func allowedOnID(ctx context.Context, client kmsg.Requestor, r Right) operations {
	request := kmsg.NewPtrDescribeTransactionsRequest()
	request.TransactionalIDs = []string{r.Name}
	if r.Prefix {
		request.TransactionalIDs[0] += "may-i"
	}
	response, err := request.RequestWith(ctx, client)
	switch {
	case errors.Is(err, kerr.TransactionalIDAuthorizationFailed): // it may not even know the id's coordinator
		return 0
	case err != nil: // a broker before Kafka 3.0
		return math.MinInt32
	}
	for _, s := range response.TransactionStates {
		if s.ErrorCode == kerr.TransactionalIDAuthorizationFailed.Code {
			return 0
		}
	}
	return math.MinInt32
}
